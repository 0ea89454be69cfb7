def evaluate(con, sql): return None
