"""Processes that torchrun or srun started: which of them is this one?"""

import os

from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

from resgan.base.processes import Place

FIRST_PORT = 15000  # of srun's processes, plus the last four digits of the job's number


def launched_place() -> Place | None:
    """Return the place of this process among those of a launcher; None where no launcher started several."""
    given = os.environ.get
    if "RANK" in os.environ and int(given("WORLD_SIZE", "1")) > 1:  # torchrun, and whoever sets the same
        return Place(int(given("RANK", "0")), int(given("WORLD_SIZE", "1")), int(given("LOCAL_RANK", "0")), "env://")
    count = int(given("SLURM_STEP_NUM_TASKS", "1"))
    if "SLURM_STEP_NODELIST" in os.environ and count > 1:  # srun; a batch script by itself is one process
        host = SLURMEnvironment.resolve_root_node_address(given("SLURM_STEP_NODELIST", ""))
        port = FIRST_PORT + int(given("SLURM_JOB_ID", "0")[-4:])
        return Place(int(given("SLURM_PROCID", "0")), count, int(given("SLURM_LOCALID", "0")), f"tcp://{host}:{port}")
    return None


def all_for_one_job() -> bool:
    """Check whether submitit started the processes, for a single job of a sweep."""
    return "SUBMITIT_EXECUTOR" in os.environ
