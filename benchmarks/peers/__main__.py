"""python -m benchmarks.peers: tapegrad's recorded programs and its rivals, checked, then timed in turn.

Every contender has a process for each workload and number of threads, bound to that many cores. All are prepared first;
then they take turns, and the least time of all rounds counts.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import sys
import tempfile

from .worker import TOLERANCE, How, main

CONTENDERS = [
    ("tapegrad", "ours", ""),
    ("numba, gradient by hand", "numba", ""),
    ("numpy, gradient by hand", "numpy", ""),
    ("drjit LLVM", "drjit", ""),
    ("ddx LLVM", "ddx", "LLVM"),
    ("ddx interpreter", "ddx", "interpreter"),
    ("jax jit, vectorised", "jax", ""),
    ("PyTorch, vectorised", "torch", ""),
    ("CasADi SX", "casadi", ""),
    ("autograd, vectorised", "autograd", ""),
]
TITLES = {
    "mlp": ("loss of micrograd's MLP, 337 parameters, value and gradient at a new point", "us an evaluation", 1e6),
    "black-scholes": ("price and 5 greeks, 1,000,000 options", "ns an option", 1e3),
    "heston": ("gradient of a mean price in 6 parameters, 252 steps, 10,000 paths", "us a path", 1e2),
}
ONE_THREAD = {"numpy", "ddx", "autograd"}  # and everything at one point
CANNOT = {("drjit", "mlp"): "made for many samples, not for one point"}


class Peer:
    """A contender's process for one workload and number of threads."""

    def __init__(self, label: str, module: str, workload: str, how: How) -> None:
        self.label, self.module, self.workload, self.how = label, module, workload, how
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=main, args=(theirs, module, workload, how), daemon=True)
        self.process.start()
        theirs.close()
        self.facts: dict = {}
        self.samples: list[float] = []

    def prepare(self, limit: float) -> None:
        answer = self.hear(limit)
        self.facts = answer
        if "error" in answer and not answer["error"] <= TOLERANCE:
            answer["failed"] = f"WRONG: off by {answer['error']:.1e} of the largest number"
            self.stop()

    def hear(self, limit: float) -> dict:
        """What the process says; if it says nothing in time or dies, that."""
        try:
            if self.pipe.poll(limit):
                return self.pipe.recv()
            said = {"failed": f"not done in {limit:.0f} s"}
        except (EOFError, ConnectionError):
            self.process.join(5)
            said = {"failed": f"died with exit status {self.process.exitcode}"}
        self.stop()
        return said

    def sample(self, seconds: float, limit: float) -> None:
        if not self.alive:
            return
        self.pipe.send(seconds)
        answer = self.hear(limit)
        if isinstance(answer, float):
            self.samples.append(answer)
        else:
            self.facts.update(answer)

    def finish(self) -> None:
        if self.alive:
            self.pipe.send(None)
            answer = self.hear(10)
            if isinstance(answer, float):
                self.facts["peak_megabytes"] = answer
        self.stop()

    @property
    def alive(self) -> bool:
        return "failed" not in self.facts and "skipped" not in self.facts and self.process.is_alive()

    def stop(self) -> None:
        self.process.kill()
        self.process.join()

    @property
    def best(self) -> float | None:
        return min(self.samples) if self.samples and "failed" not in self.facts else None


def compare(workload: str, chosen: list, threads: list[int], options: argparse.Namespace) -> list[Peer]:
    peers = []
    for label, module, mode in chosen:
        for count in threads:
            if (module, workload) in CANNOT or (count > 1 and (module in ONE_THREAD or workload == "mlp")):
                continue
            print(f"preparing {workload}: {label}, {count} thread(s)", file=sys.stderr, flush=True)
            peer = Peer(label, module, workload, How(count, mode))
            peer.prepare(options.limit)
            peers.append(peer)
    for round_ in range(options.rounds):
        print(f"{workload}: round {round_ + 1} of {options.rounds}", file=sys.stderr, flush=True)
        for peer in peers:
            peer.sample(options.seconds, options.limit)
    for peer in peers:
        peer.finish()
    return peers


def table(workload: str, peers: list[Peer], chosen: list, threads: list[int]) -> None:
    title, unit, scale = TITLES[workload]
    print(f"\n{workload}: {title}")
    head = "".join(f"{unit + ', ' + str(n) + 'T':>24}{'/ ours':>8}" for n in threads)
    print(f"{'':26}{'version':12}{'record s':>10}{head}{'peak MB':>9}{'off by':>9}")
    by = {(peer.label, peer.how.threads): peer for peer in peers}
    for label, module, _ in chosen:
        row = [by[label, n] for n in threads if (label, n) in by]
        if not row:
            print(f"{label:26}left out: {CANNOT[module, workload]}")
            continue
        facts = row[0].facts
        problem = facts.get("failed") or facts.get("skipped")
        if problem:
            print(f"{label:26}{facts.get('version', ''):12}{problem}")
            continue
        line = f"{label:26}{facts['version']:12}{facts['prepared']:>10.3f}"
        for n in threads:
            peer, ours = by.get((label, n)), by.get(("tapegrad", n))
            best = peer.best if peer else None
            cell = "-" if best is None else f"{best * scale:.2f}"
            ratio = f"{best / ours.best:.2f}" if best and ours and ours.best else "-"
            line += f"{cell:>24}{ratio:>8}"
        print(f"{line}{facts.get('peak_megabytes', 0):>9.0f}{facts['error']:>9.0e}")


def cpu() -> str:
    from tapegrad.bench import machine

    return machine.cpu()


def run() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument(
        "--only", default="", metavar="TEXT", help=f"workloads with TEXT in their name: {', '.join(TITLES)}"
    )
    parser.add_argument("--peers", default="", metavar="NAMES", help="some of them, with commas between")
    parser.add_argument("--threads", default="1,2", metavar="NUMBERS")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5, help="that a contender runs in a round")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds after which a contender is given up")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    names = [name.strip().lower() for name in options.peers.split(",") if name.strip()]
    chosen = [c for c in CONTENDERS if c[1] == "ours" or not names or any(name in c[0].lower() for name in names)]
    threads = [int(n) for n in options.threads.split(",")]
    print(f"{cpu()}, CPython {platform.python_version()}, tolerance {TOLERANCE:.0e}")
    written = []
    with tempfile.TemporaryDirectory() as home:
        os.environ["HOME"] = home  # of the contenders: no kernels compiled by an earlier run
        for workload in TITLES:
            if options.only in workload:
                peers = compare(workload, chosen, threads, options)
                table(workload, peers, chosen, [1] if workload == "mlp" else threads)
                written += [{"workload": workload, "contender": p.label, "threads": p.how.threads, **p.facts,
                             "samples_s": p.samples} for p in peers]  # fmt: skip
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(written, file, indent=1)


if __name__ == "__main__":
    run()
