"""What MySQL's and MariaDB's error numbers mean for a batch."""

import re
from collections.abc import Collection

from reverse_etl.destination import DestinationError, RejectError, RetryError, StopError

# https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html and MariaDB's
REJECTED = frozenset(
    (
        *(1048, 1062, 1118, 1153, 1216, 1217, 1264, 1265, 1292, 1300, 1364, 1366, 1406, 1411, 1451),
        *(1452, 1526, 1586, 1644, 1690, 3140, 3141, 3156, 3157, 3819, 4025),
    )
)
RETRIED = frozenset((1040, 1053, 1129, 1203, 1205, 1213, 1226, 1317, 1927, 3024, 1969))
LOST = frozenset((0, 2002, 2003, 2005, 2006, 2013, 2055))
LOGIN = frozenset((1044, 1045, 1049, 1130, 1698, 2059))


def explained(
    error: Exception, columns: Collection[str], *, at_commit: bool
) -> DestinationError | None:
    """What a driver's error means; None for an error that is not the driver's.

    The server's message quotes the value: of it only the name of one of `columns` is passed on.
    """
    number = _number(error)
    if number is None:
        return None
    named = re.search(
        r"column .*?([`'])([A-Za-z_]\w*)\1(?: at row \d+|$)",
        str(error.args[-1] if error.args else ""),
    )
    about = f", column {named[2]}" if named and named[2] in columns else ""
    found = _explained(number, about, at_commit=at_commit)
    if isinstance(found, RejectError):
        found.detail = str(error.args[-1])
    return found


def _number(error: Exception) -> int | None:
    """MySQL's error number; 0 for a connection that broke, None if the error is not the driver's."""
    try:
        import pymysql
    except ImportError:
        return None
    if isinstance(error, pymysql.MySQLError) and error.args and isinstance(error.args[0], int):
        return error.args[0]
    return 0 if isinstance(error, pymysql.MySQLError | OSError) else None


def _explained(number: int, about: str, *, at_commit: bool) -> DestinationError:
    code = f"mysql_{number}"
    if number in REJECTED:
        return RejectError(f"MySQL refuses a value (error {number}{about})", code=code)
    if number in LOST:
        return RetryError(
            f"MySQL in connection.url cannot be reached, or the connection broke (error {number})",
            code="connection_lost",
            # what is not committed is rolled back
            maybe_applied=at_commit,
        )
    if number in RETRIED:
        return RetryError(
            f"MySQL is busy or stopped the statement (error {number})",
            code=code,
            maybe_applied=at_commit,
        )
    what = (
        "the login: look at connection.url (user, host, database) and connection.password"
        if number in LOGIN
        else "a statement: look at connection.table, its columns' types and the user's rights"
    )
    return StopError(f"MySQL refuses {what} (error {number})", code=code)
