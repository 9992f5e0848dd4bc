"""Makes the modules beside it importable, here and in benchmarks/hostile.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
