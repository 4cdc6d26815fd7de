"""A soak: kills each command that writes at random moments, again and again, and looks for anything lost or left.

``python -m tests.soak_kills --kills 500`` runs the long form: it prints what was killed how often and what was
found, and exits with 1 if anything was. Each life (`tests.support.soak_lives`) has a seed and a folder of its own;
that of a life with a finding is kept. ``--seed 1 --life 7 --lives 1`` lives the seventh again. A process is killed
with SIGKILL either when it has run for a part of its usual time, or when it has come to a statement that writes, or to
a file that it opens, renames, links or removes.

After every kill the files are asked in SQL (`tests.support.soak_model`); then the same command runs to its end.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import duckdb

from tests.support.soak_children import Children
from tests.support.soak_lives import COMMANDS, Life, Step
from threadx_duck.errors import ThreadxDuckError

PATIENCE = 120.0
_ENDLESS = 2.0
_FIRST_GUESS = 0.5
_FIRST_EVENTS = 25


@dataclass(frozen=True)
class Kill:
    """One process killed, and what was wrong then: the life and the step tell it again."""

    life: int
    step: int
    command: str
    at: str
    wrong: tuple[str, ...]


class Usual:
    """How long each command takes, and how many events it has, by the last that ended."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._events: dict[str, int] = {}

    def learn(self, command: str, seconds: float, events: int) -> None:
        self._seconds[command], self._events[command] = seconds, events

    def seconds(self, command: str) -> float:
        return self._seconds.get(command, _FIRST_GUESS)

    def events(self, command: str) -> int:
        return self._events.get(command, _FIRST_EVENTS)


class Soak:
    """Lives one life after the other, each with its kills."""

    def __init__(self, folder: Path, seed: int, commands: Sequence[str] = COMMANDS) -> None:
        self._folder = folder
        self._seed = seed
        self._commands = tuple(commands)
        self._usual = Usual()
        self.survived: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.after_end: list[Kill] = []

    def live(self, number: int, most: int = 3, least: int = 1) -> Iterator[Kill]:
        """One life: each command is killed a random number of times, then runs to its end."""
        folder = self._folder / f"life-{number}"
        is_clean = False
        with Children() as children, closing(Life(folder, f"{self._seed}-{number}")) as life:
            before = len(self.after_end)
            wrong_kills = 0
            for step_number, step in enumerate(life.steps(self._commands), start=1):
                life.model.remember()
                step.begin()
                for _ in range(life.random.randint(least, most) if step.command in self._commands else 0):
                    try:
                        at = self._kill(life, step, children)
                    except AssertionError as error:
                        self.after_end.append(Kill(number, step_number, step.command, "before its kill", (str(error),)))
                        continue
                    if at is None:
                        self.survived[step.command] += 1
                        continue
                    wrong = _asked(lambda step=step: life.model.wrong() + step.after_kill())
                    wrong_kills += bool(wrong)
                    yield Kill(number, step_number, step.command, at, wrong)
                wrong = _asked(lambda step=step: self._end(life, step, children))
                self.ended[step.command] += 1
                if wrong:
                    self.after_end.append(Kill(number, step_number, step.command, "end", wrong))
                if any("exit" in text for text in wrong):
                    return
            is_clean = not wrong_kills and not [kill for kill in self.after_end[before:] if kill.life == number]
        if is_clean:
            shutil.rmtree(folder)

    def _kill(self, life: Life, step: Step, children: Children) -> str | None:
        """Starts a process and has it killed; says when, or None if it ended before."""
        arguments = (step.killed or step.arguments)()
        turn, delay, at, patience = 0, 0.0, "", _ENDLESS if step.killed else PATIENCE
        # Towards the end, where files are swapped, twice as often.
        part = max(life.random.random(), life.random.random() if life.random.random() < 0.5 else 0.0)
        late = life.random.choice((0.0, 0.002, 0.02, 0.1)) * life.random.random()
        if life.random.random() < 0.4:
            patience = 0.02 + part * self._usual.seconds(step.command)
            at = f"{patience:.3f} s"
        else:
            turn, delay = 1 + int(part * self._usual.events(step.command)), late
            at = f"event {turn} + {delay:.3f} s"
        life.model.remember()
        code, _, error, events, seconds = children.run(life.folder, arguments, turn, delay, patience)
        if code == -signal.SIGKILL:
            return at
        assert code == 0, f"{arguments}: exit {code}: {error}"
        if events and not step.killed:
            self._usual.learn(step.command, seconds, events)
        return None

    def _end(self, life: Life, step: Step, children: Children) -> list[str]:
        life.model.remember()
        arguments, before = step.arguments(), life.strays()
        code, out, error, events, seconds = children.run(life.folder, arguments, 0, 0.0, PATIENCE)
        if code:
            return [f"{' '.join(arguments)}: exit {code}: {error.strip()} {out[:2_000]}"]
        if not step.killed:
            self._usual.learn(step.command, seconds, events)
        return step.after_end(out) + life.model.wrong() + _left_behind(life, children, before)


def _asked(ask: Callable[[], list[str]]) -> tuple[str, ...]:
    """What is wrong; a file that cannot even be read is."""
    try:
        return tuple(ask())
    except (AssertionError, OSError, ValueError, subprocess.TimeoutExpired, duckdb.Error, ThreadxDuckError) as error:
        return (f"{type(error).__name__}: {error}",)


def _left_behind(life: Life, children: Children, before: list[Path]) -> list[str]:
    """The files that a finished command has left, and those of killed ones that no doctor names."""
    strays = life.strays()
    if not strays:
        return []
    out = children.run(life.folder, ("doctor", "--json"), 0, 0.0, PATIENCE).out
    said = " ".join(finding["text"] for finding in json.loads(out)["findings"])
    wrong = [path for path in strays if path not in before or str(path) not in said]
    return [f"left behind: {path.relative_to(life.folder)}" for path in wrong]


class _Tally:
    """Counts the kills of both workers, and says how far they are."""

    def __init__(self, wanted: int, minutes: float) -> None:
        self._wanted = wanted
        self._until = time.monotonic() + 60 * minutes
        self._lock = threading.Lock()
        self.kills: list[Kill] = []

    @property
    def is_enough(self) -> bool:
        return len(self.kills) >= self._wanted or time.monotonic() > self._until

    def add(self, kill: Kill) -> None:
        with self._lock:
            self.kills.append(kill)
            found = sum(map(len, (kill.wrong for kill in self.kills)))
            sys.stderr.write(f"\r{len(self.kills)} of {self._wanted} kills, {found} findings; {kill.command:<8}")
            sys.stderr.flush()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=COMMANDS)
    parser.add_argument("--minutes", type=float, default=60.0, help="begin no life after so many minutes")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--life", type=int, default=1, help="the first life")
    parser.add_argument("--lives", type=int, default=1_000_000, help="at most so many lives")
    return parser.parse_args()


def main() -> int:
    """Runs the long form and prints a table."""
    options = _parse()
    folder = Path(tempfile.mkdtemp(prefix="threadx-soak-"))
    soak = Soak(folder, options.seed, options.commands)
    tally = _Tally(options.kills, options.minutes)
    numbers = iter(range(options.life, options.life + options.lives))
    sys.stderr.write(f"seed {options.seed}, in {folder}\n")

    def work() -> None:
        while not tally.is_enough and (number := next(numbers, None)) is not None:
            for kill in soak.live(number):
                tally.add(kill)

    with ThreadPoolExecutor(options.workers) as pool:
        workers = [pool.submit(work) for _ in range(options.workers)]
    _print(soak, tally, options.commands)
    findings = [kill for kill in (*tally.kills, *soak.after_end) if kill.wrong]
    for kill in findings:
        where = f"seed {options.seed}, life {kill.life}, step {kill.step} ({kill.command}, {kill.at})"
        sys.stdout.writelines(f"{where}: {text}\n" for text in kill.wrong)
    for worker in workers:
        worker.result()
    if findings:
        sys.stdout.write(f"The folders are in {folder}.\n")
        return 1
    shutil.rmtree(folder)
    return 0


def _print(soak: Soak, tally: _Tally, commands: Sequence[str]) -> None:
    kills = Counter(kill.command for kill in tally.kills)
    found: defaultdict[str, int] = defaultdict(int)
    for kill in (*tally.kills, *soak.after_end):
        found[kill.command] += len(kill.wrong)
    sys.stdout.write(f"\n{'command':<8}  kills  ended before  run to the end  found\n")
    for command in commands:
        sys.stdout.write(
            f"{command:<8}  {kills[command]:>5}  {soak.survived[command]:>12}  {soak.ended[command]:>14}"
            f"  {found[command]:>5}\n"
        )
    sys.stdout.write(f"{len(tally.kills)} kills.\n")


if __name__ == "__main__":
    sys.exit(main())
