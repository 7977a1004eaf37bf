"""The invented company behind the demo: what each of its providers would bill for a month."""
