"""The market simulator: the venues' own protocols on loopback, over a seeded market or over a recording.

Whatever it serves is simulated or recorded, and named as such: its news wire is "Simulated Wire", its ledger says
what it handed out. It imports the contracts and nothing of the producers, so that a shared mistake cannot hide.
"""
