"""Exit with a one-line error unless the project supports this interpreter; runs on any Python, however old.

`python_version.py training` also rejects versions for which TensorFlow has no release.
"""

import sys

LAST = (3, 13) if sys.argv[1:] == ["training"] else (3, 14)

if not (3, 11) <= sys.version_info[:2] <= LAST:
    message = "error: Python " + sys.version.split()[0] + " found; "
    purpose = "training and the tests need" if LAST == (3, 13) else "evenmood needs"
    versions = " 3.11 to %d.%d" % LAST  # noqa: UP031  # f-strings are a syntax error before Python 3.6
    sys.exit(message + purpose + versions + "; run: make clean; make PYTHON=python3.13 ...")
