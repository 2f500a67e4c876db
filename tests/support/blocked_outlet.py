"""An LSL outlet that discovery sees and whose data port never answers: the process may open no further file."""

import resource
import sys
import time

import pylsl

name, kind = sys.argv[1:3]
irregular = kind == "Markers"
outlet = pylsl.StreamOutlet(
    pylsl.StreamInfo(
        name, kind, 1 if irregular else 8, 0.0 if irregular else 250.0, "string" if irregular else "float32", name
    )
)
time.sleep(0.2)
resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
print("ready", flush=True)
time.sleep(120)
