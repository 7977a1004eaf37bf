"""Outward: pages, messages and exports made from the ledger's figures."""
