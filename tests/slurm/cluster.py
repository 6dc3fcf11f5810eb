"""python tests/slurm/cluster.py install | up FOLDER | down FOLDER: a SLURM of two made-up nodes, for tests.

It is Debian's (`apt-get install slurmctld slurmd slurm-client munge`), started by root without systemd and without
cgroups. All its files lie in FOLDER, and nothing that has a port listens to other machines. `down` ends only those
processes that `up` started. SLURM's commands need the variables that `environment` returns; `up` prints them.
"""

import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "srun", "squeue", "scancel", "scontrol")
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"  # where Debian puts daemons
PACKAGES = "slurmctld slurmd slurm-client munge"
NODES = ("node1", "node2")
PATIENCE = 60.0  # seconds for the daemons to start
# No accounting: squeue tells what became of a job for MinJobAge seconds. KillWait: seconds from SIGTERM to SIGKILL.
CONFIGURATION = """
ClusterName=bleuprint
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmctldParameters=enable_configless
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
CryptoType=crypto/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,default_queue_depth=100
ReturnToService=2
SlurmctldTimeout=300
SlurmdTimeout=300
InactiveLimit=0
MinJobAge=600
KillWait=20
Waittime=0
SlurmdParameters=config_overrides
DisableRootJobs=NO
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=10
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""


def missing() -> list[str]:
    """Return the programs of SLURM that are not installed."""
    return [program for program in PROGRAMS if shutil.which(program, path=f"{os.environ['PATH']}:{SBIN}") is None]


def install() -> None:
    """Install Debian's packages where that is possible; say nothing where it is not."""
    if missing() and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for command in ("apt-get -qq update", f"apt-get -qq install --no-install-recommends {PACKAGES}"):
            subprocess.run(command.split(), env=quiet, capture_output=True)


def environment(folder: Path) -> dict[str, str]:
    """Return the variables by which SLURM's commands find this cluster."""
    return {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}


def up(folder: Path, cpus: int = 2) -> None:
    """Start the cluster.

    Args:
        folder: for all its files; short, as a socket's path has at most 108 characters.
        cpus: of each of the two nodes, however many this machine has.

    Raises:
        SystemExit: it does not start.
    """
    if absent := missing():
        sys.exit(f"{', '.join(absent)}: not installed; apt-get install {PACKAGES}")
    for name in ("state", *(f"spool-{node}" for node in NODES)):
        (folder / name).mkdir(parents=True, exist_ok=True)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    folder.chmod(0o755)
    ports = free_ports(1 + len(NODES))
    host = socket.gethostname()
    nodes = "\n".join(
        f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} RealMemory=64000 State=UNKNOWN"
        for node, port in zip(NODES, ports[1:], strict=True)
    )
    (folder / "slurm.conf").write_text(CONFIGURATION.format(host=host, ports=ports, folder=folder, nodes=nodes))
    # Snakemake's plugin drops SLURM_CONF in a job; a usual cluster has its configuration in /etc
    (folder / "bin").mkdir(exist_ok=True)
    srun = folder / "bin" / "srun"
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which("srun")} "$@"\n')
    srun.chmod(0o755)
    munge = [f"--{name}={folder}/munge.{suffix}" for name, suffix in MUNGE.items()]
    start(folder, ["munged", "--foreground", "--force", *munge])
    wait(lambda: (folder / "munge.socket").exists(), folder, "munged")
    start(folder, ["slurmctld", "-D", "-f", f"{folder}/slurm.conf"])
    for node in NODES:
        start(folder, ["slurmd", "-D", "-N", node, "-f", f"{folder}/slurm.conf"])
    wait(lambda: idle(folder), folder, "SLURM")


MUNGE = {
    "socket": "socket",
    "key-file": "key",
    "pid-file": "pid",
    "log-file": "log",
    "seed-file": "seed",
}


def free_ports(count: int) -> list[int]:
    """Return ports on which nothing listens."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


def start(folder: Path, command: list[str]) -> None:
    """Start a daemon, and note its id."""
    path = os.environ["PATH"] + ":" + SBIN
    with open(folder / "daemons.log", "a") as log:
        process = subprocess.Popen(
            [str(shutil.which(command[0], path=path)), *command[1:]],
            env=os.environ | environment(folder) | {"PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    with open(folder / "processes.jsonl", "a") as processes:
        processes.write(json.dumps({"process": process.pid, "began": began(process.pid)}) + "\n")


def began(process: int) -> str | None:
    """Return when a process began, in the kernel's count; None if it does not exist."""
    try:
        return Path("/proc", str(process), "stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None


def wait(ready: Callable[[], bool], folder: Path, what: str) -> None:
    """Wait until something is ready."""
    deadline = time.monotonic() + PATIENCE
    while not ready():
        if time.monotonic() > deadline:
            down(folder)
            sys.exit(f"{what} does not start: see the logs in {folder}")
        time.sleep(0.1)


def idle(folder: Path) -> bool:
    """Tell whether all nodes are ready for jobs."""
    command = ["sinfo", "--noheader", "--Node", "--partition=main", "--format=%T"]
    answer = subprocess.run(command, env=os.environ | environment(folder), capture_output=True, text=True)
    return answer.stdout.split() == ["idle"] * len(NODES)


def down(folder: Path) -> None:
    """Cancel all jobs, end the daemons that `up` started, and no other process."""
    known = folder / "processes.jsonl"
    if not known.exists():
        return
    with_cluster = os.environ | environment(folder)
    subprocess.run(["scancel", "--signal=KILL", "--user=root"], env=with_cluster, capture_output=True, timeout=30)
    lines = [json.loads(line) for line in known.read_text().splitlines()]
    alive = [line["process"] for line in reversed(lines) if line["began"] == began(line["process"]) is not None]
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in alive:
            if began(process) is not None:
                os.kill(process, number)
        deadline = time.monotonic() + 10
        while any(running(process) for process in alive) and time.monotonic() < deadline:
            time.sleep(0.1)
    known.unlink()


def running(process: int) -> bool:
    """Tell whether a process runs; reap it where it is a child of this one."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process, os.WNOHANG)
    try:
        return Path("/proc", str(process), "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def main() -> None:
    """Entry point."""
    words = sys.argv[1:]
    if words == ["install"]:
        install()
        if absent := missing():
            print(f"Jobs on a cluster are not tested: {', '.join(absent)} could not be installed ({PACKAGES}).")
    elif len(words) == 2 and words[0] == "up":
        up(Path(words[1]).resolve())
        for name, value in environment(Path(words[1]).resolve()).items():
            print(f"export {name}={shlex.quote(value)}")
    elif len(words) == 2 and words[0] == "down":
        down(Path(words[1]).resolve())
    else:
        sys.exit(f"usage: {str(__doc__).partition(': ')[0]}")


if __name__ == "__main__":
    main()
