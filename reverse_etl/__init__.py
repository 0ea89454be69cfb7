"""Reverse ETL: audiences in; batches to destinations out, with a ledger of what each holds."""
