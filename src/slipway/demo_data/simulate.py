"""`python -m slipway.demo_data.simulate FOLDER`: one year of the jaffle shop, the same in every run.

jafgen draws its ids from the system's randomness. This is a program of its own so that replacing that, and
seeding the generators it shares with everyone, concerns no other code.
"""

from __future__ import annotations

import os
import random
import sys
import uuid
from pathlib import Path

SEED = 20180901


def simulate(folder: Path) -> None:
    """Write jafgen's `jaffle-data/raw_*.csv` of one year into a folder. Changes this process for good."""
    generator = random.Random(SEED)  # noqa: S311 - sample data
    uuid.uuid4 = lambda: uuid.UUID(int=generator.getrandbits(128), version=4)
    random.seed(SEED)

    import numpy
    from jafgen.simulation import Simulation

    numpy.random.seed(SEED)
    os.chdir(folder)
    simulation = Simulation(1, "raw")
    simulation.run_simulation()
    simulation.save_results()


if __name__ == "__main__":
    simulate(Path(sys.argv[1]))
