import sys

from multigen.cli import main

sys.exit(main())
