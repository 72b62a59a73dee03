"""Exit with a one-line error unless the project supports this interpreter; runs on any Python, however old."""

import sys

if not (3, 11) <= sys.version_info < (3, 14):
    found = sys.version.split()[0]
    sys.exit("error: Python " + found + " found; 3.11 to 3.13 needed: make PYTHON=python3.12 ...")
