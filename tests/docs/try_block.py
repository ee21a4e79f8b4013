import sys
sys.path.insert(0, "tests/docs")
from pathlib import Path
import doc_blocks
b = doc_blocks.Block("stdin","clojure",sys.stdin.read(),1)
for p in doc_blocks.run(b): print(p)
