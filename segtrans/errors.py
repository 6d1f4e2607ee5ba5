"""The one exception for what a user can cause and mend."""


class UserError(Exception):
    """Something a user can mend; its text is the one line the user sees.

    The line says what was wrong, where (file, key, case), what was expected and what to do.
    """
