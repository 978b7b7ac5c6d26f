"""The endpoints, one module a subject. Each asks for access, builds a query, renders its page."""
