"""The asset graph. Folder = layer = asset group = first part of the key; everything at module level here is loaded."""
