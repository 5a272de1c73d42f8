"""`freeway top` as people meet it: keys are sent to a terminal, and its screen is read."""

import json
import os
import re
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

FREEWAY = os.environ["FREEWAY"]
SHOTS = os.environ.get("SHOTS")
# A machine that does much else may take long; nothing waits for longer than it has to.
PATIENCE_S = 90
LOOK_S = 0.1
UTF8 = "C.UTF-8"


def until(what, question, patience=PATIENCE_S):
    """The first answer that is true; the test has failed if there is none in time."""
    end = time.monotonic() + patience
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {patience} s")
        time.sleep(LOOK_S)


class Network:
    """`freeway up` in a folder of its own."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="freeway-top-")
        self.dir = self.folder.name
        command = [FREEWAY, "up", "--dir", self.dir, "--restart", "--json"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"no network: {self.process.stderr.read()}")
        self.ready = json.loads(line)

    def file(self):
        return json.loads(Path(self.dir, "network.json").read_text())

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=PATIENCE_S)
        self.folder.cleanup()


class Terminal:
    """A shell in a terminal of its own."""

    count = 0

    def __init__(self, columns=100, rows=30, **variables):
        Terminal.count += 1
        self.socket = f"freeway-{os.getpid()}-{Terminal.count}"
        settings = {"LC_ALL": UTF8, "PS1": "ready> ", **variables}
        words = [f"{name}={value}" for name, value in settings.items()]
        shell = ["env", "-u", "NO_COLOR", *words, "bash", "--norc", "--noprofile"]
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows), *shell)
        self.sees("ready>")

    def tmux(self, *arguments):
        environment = {**os.environ, "LC_ALL": UTF8}
        command = ["tmux", "-L", self.socket, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout

    def type(self, text):
        self.tmux("send-keys", "-l", text)

    def press(self, *keys):
        self.tmux("send-keys", *keys)

    def screen(self, *options):
        return self.tmux("capture-pane", "-p", *options)

    def flag(self, name):
        return self.tmux("display-message", "-p", f"#{{{name}}}").strip()

    def resize(self, columns, rows):
        self.tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def sees(self, *texts, patience=PATIENCE_S):
        """Waits until all of these are on the screen at a time."""
        last = ""

        def there():
            nonlocal last
            last = self.screen()
            return last if all(text in last for text in texts) else None

        try:
            return until(f"{texts} on the screen", there, patience)
        except AssertionError as error:
            raise AssertionError(f"{error}; the screen has\n{last}") from None

    def misses(self, text):
        until(f"no {text!r} on the screen", lambda: text not in self.screen())

    def line(self, text):
        self.type(text)
        self.press("Enter")

    def stty(self):
        """The terminal's settings, as a program that the shell starts finds them."""
        with tempfile.TemporaryDirectory() as place:
            # Written whole, then named: what is there is complete.
            self.line(f"clear; stty -a > {place}/part; mv {place}/part {place}/whole")
            until("the settings", Path(place, "whole").exists)
            return Path(place, "whole").read_text()

    def top(self, *arguments):
        self.line(f"clear; {FREEWAY} top {' '.join(arguments)}; echo ended $?")
        until("the alternate screen", lambda: self.flag("alternate_on") == "1")

    def close(self):
        self.tmux("kill-server")


class Top(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.network = Network()

    @classmethod
    def tearDownClass(cls):
        cls.network.stop()

    def terminal(self, *size, **variables):
        terminal = Terminal(*size, **variables)
        self.addCleanup(terminal.close)
        return terminal

    def keep(self, name, screen):
        if SHOTS:
            Path(SHOTS).mkdir(parents=True, exist_ok=True)
            Path(SHOTS, f"{name}.txt").write_text(screen)

    def here(self):
        return ["--dir", self.network.dir]

    def run_top(self, *arguments, **more):
        command = [FREEWAY, "top", *arguments]
        return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=PATIENCE_S, **more)

    def assert_restored(self, terminal, before, status):
        """The terminal is as it was: the shell's screen, the cursor, all settings."""
        terminal.sees(f"ended {status}")
        self.assertEqual(terminal.flag("alternate_on"), "0")
        self.assertEqual(terminal.flag("cursor_flag"), "1")
        self.assertEqual(terminal.stty(), before)

    def test_every_view_by_its_key(self):
        terminal = self.terminal(100, 30)
        terminal.top(*self.here())
        height = terminal.sees("Chain", "Epoch", "Compute", "H100s", "blocks left", "of 4 signed")
        self.keep("network", height)
        first = int(re.search(r"height ([\d,]+)", height)[1].replace(",", ""))
        grows = lambda: int(re.search(r"height ([\d,]+)", terminal.screen())[1].replace(",", "")) > first + 1
        until("blocks", grows)
        terminal.press("2")
        # The first race is in the second epoch.
        self.keep("sprint", terminal.sees("Sprint of epoch", "committed", "nonces", "█", "host-4"))
        terminal.press("Tab")
        self.keep("hosts", terminal.sees("POWER▼", "host-1", "host-4", "active", "local"))
        terminal.press("r")
        terminal.sees("POWER▲")
        terminal.press("r", "s")
        terminal.sees("HOST▼")
        terminal.press("Home", "Down", "Enter")
        self.keep("host", terminal.sees("host-2 ──", "reputation", "collateral", "endpoints", "Lanes", "Esc all hosts"))
        terminal.press("Escape")
        terminal.sees("HOST▼")
        terminal.press("4")
        # Hosts try each other in each epoch, and commit to that.
        self.keep("requests", terminal.sees("Paid work", "INTERVAL▼", "guide", "Lanes", "VERDICTS", "right"))
        terminal.press("Right")
        self.keep("logs", terminal.sees("Logs ──", "following", "INFO", "host-1", "host-3"))
        terminal.press("Right")
        terminal.sees("Chain")
        terminal.press("BTab")
        terminal.sees("Logs ──")
        terminal.press("?")
        self.keep("help", terminal.sees("Keys", "Ctrl-Z", "quit"))
        terminal.press("?", "q")
        terminal.sees("ended 0")

    def test_logs_are_filtered_looked_back_and_exchanged_for_events(self):
        terminal = self.terminal(100, 24)
        terminal.top(*self.here(), "--view", "logs")
        terminal.sees("following", "host-1", "host-2")
        terminal.press("/")
        terminal.type("HOST-2 not there")
        terminal.sees("no line with that text", "/HOST-2 not there")
        terminal.press("C-u")
        terminal.type("host-2")
        terminal.press("Enter")
        terminal.misses("host-1")
        terminal.sees(" of ", "host-2", "/host-2")
        terminal.press("k", "PPage")
        terminal.sees("End follows")
        terminal.press("End")
        terminal.sees("following")
        terminal.press("Escape")
        terminal.sees("host-1")
        terminal.press("e")
        terminal.sees("Events of the chain", "e files")
        terminal.press("p")
        terminal.sees("stopped", "p goes on")
        terminal.press("p")
        terminal.misses("p goes on")
        terminal.press("q")
        terminal.sees("ended 0")

    def test_a_node_elsewhere_has_events_for_logs(self):
        with tempfile.TemporaryDirectory() as empty:
            terminal = self.terminal(100, 24)
            terminal.top("--dir", empty, "--rpc", self.network.ready["rpc"][0], "--view", "logs")
            terminal.sees("Events of the chain", "following")
            terminal.press("q")
            terminal.sees("ended 0")

    def test_it_follows_the_size_of_its_terminal(self):
        terminal = self.terminal(80, 24)
        terminal.top(*self.here())
        terminal.sees("Chain", "Epoch", "q quit")
        for columns, rows in [(40, 10), (200, 60), (60, 16), (80, 24)]:
            terminal.resize(columns, rows)
            screen = terminal.sees("height", "q quit")
            last = lambda: terminal.screen().rstrip("\n").split("\n")
            until("the footer in the last row", lambda: len(last()) == rows and "q quit" in last()[-1])
            self.keep(f"size-{columns}x{rows}", screen)
        for columns, rows in [(39, 24), (80, 9), (10, 3)]:
            terminal.resize(columns, rows)
            terminal.sees("terminal" if columns < 20 else f"terminal too small: {columns} x {rows}")
        terminal.resize(80, 24)
        terminal.sees("Chain", "q quit")
        terminal.press("q")
        terminal.sees("ended 0")

    def test_the_terminal_is_left_as_it_was(self):
        terminal = self.terminal(100, 24)
        before = terminal.stty()
        for way in [["q"], ["C-c"], ["Escape"]]:
            terminal.top(*self.here())
            terminal.sees("q quit")
            self.assertEqual(terminal.flag("cursor_flag"), "0")
            terminal.press(*way)
            self.assert_restored(terminal, before, 0)

    def test_signals_leave_the_terminal_as_it_was(self):
        terminal = self.terminal(100, 24)
        before = terminal.stty()
        for number in [signal.SIGTERM, signal.SIGHUP, signal.SIGINT]:
            terminal.top(*self.here())
            terminal.sees("q quit")
            os.kill(self.process_of(terminal), number)
            self.assert_restored(terminal, before, 0)

    def test_the_shell_can_have_the_terminal_in_between(self):
        terminal = self.terminal(100, 24)
        terminal.line("stty sane")
        before = terminal.stty()
        terminal.top(*self.here(), "--view", "hosts")
        terminal.sees("POWER▼")
        for _ in range(3):
            terminal.press("C-z")
            until("the shell's screen", lambda: terminal.flag("alternate_on") == "0")
            terminal.sees("Stopped")
            self.assertEqual(terminal.flag("cursor_flag"), "1")
            self.assertEqual(terminal.stty(), before)
            terminal.line("fg")
            terminal.sees("POWER▼", "host-1")
            self.assertEqual(terminal.flag("alternate_on"), "1")
        # Stopped and continued by somebody else, with another program's picture in between.
        process = self.process_of(terminal)
        os.kill(process, signal.SIGSTOP)
        terminal.sees("Stopped")
        terminal.line("stty sane; clear; fg")
        terminal.sees("POWER▼", "host-1")
        terminal.press("q")
        until("the shell's screen", lambda: terminal.flag("alternate_on") == "0")
        self.assertEqual(terminal.flag("cursor_flag"), "1")
        self.assertEqual(terminal.stty(), before)

    def process_of(self, terminal):
        shell = terminal.flag("pane_pid")
        children = subprocess.run(["ps", "-o", "pid=,comm=", "--ppid", shell], capture_output=True, text=True, check=True)
        return next(int(line.split()[0]) for line in children.stdout.splitlines() if "freeway" in line)

    def test_a_node_that_goes_is_missed_and_comes_back(self):
        file = self.network.file()
        terminal = self.terminal(120, 24)
        terminal.top("--rpc", file["rpc"][2], *self.here())
        terminal.sees("Chain", "blocks left")
        os.kill(file["pids"][2], signal.SIGKILL)
        # What was known stays.
        screen = terminal.sees("node away for", "what is shown is old", "Chain", "blocks left")
        self.keep("away", screen)
        height = re.search(r"height [\d,]+", screen)[0]
        # `up --restart` starts it again.
        terminal.misses("node away")
        until("blocks", lambda: height not in terminal.screen())
        terminal.press("q")
        terminal.sees("ended 0")

    def test_a_network_that_goes_is_missed_by_its_directory_too(self):
        other = Network()
        terminal = self.terminal(100, 24)
        terminal.top("--dir", other.dir)
        terminal.sees("Chain", "blocks left")
        other.stop()
        terminal.sees("node away for", "Chain")
        terminal.press("q")
        terminal.sees("ended 0")

    def test_colours_are_of_the_sixteen_or_none(self):
        def written(**variables):
            with tempfile.NamedTemporaryFile() as raw:
                terminal = self.terminal(100, 24, **variables)
                terminal.tmux("pipe-pane", f"cat > {raw.name}")
                terminal.top(*self.here())
                terminal.sees("q quit", "Compute", "guide" if variables else "Compute")
                terminal.press("3")
                terminal.sees("POWER")
                terminal.press("q")
                terminal.sees("ended 0")
                return Path(raw.name).read_bytes().decode()

        parameters = lambda text: set(";".join(re.findall(r"\x1b\[([\d;]*)m", text)).split(";"))
        colours = {str(number) for base in (30, 40, 90, 100) for number in range(base, base + 8)}
        with_colours = written()
        self.assertTrue(parameters(with_colours) & colours)
        self.assertFalse(parameters(with_colours) & {"38", "48"})
        self.assertFalse(parameters(written(NO_COLOR="1")) & (colours | {"38", "48"}))

    def test_without_utf8_all_is_ascii(self):
        terminal = self.terminal(100, 24, LC_ALL="C")
        terminal.top(*self.here())
        screen = terminal.sees("Chain --", "Epoch", "#", "q quit")
        self.assertTrue(screen.isascii(), screen)
        self.keep("ascii", screen)
        terminal.press("2")
        terminal.sees("Sprint")
        self.assertTrue(terminal.screen().isascii())
        terminal.press("q")
        terminal.sees("ended 0")

    def test_what_is_no_terminal_gets_a_hint(self):
        ended = self.run_top(*self.here())
        self.assertEqual((ended.returncode, ended.stdout), (1, ""))
        self.assertIn("freeway status --watch", ended.stderr)
        dumb = self.terminal(80, 24, TERM="dumb")
        dumb.line(f"{FREEWAY} top --dir {self.network.dir}; echo ended $?")
        dumb.sees("TERM=dumb", "freeway status --watch", "ended 1")

    def test_without_a_network_the_terminal_is_not_touched(self):
        with tempfile.TemporaryDirectory() as empty:
            terminal = self.terminal(80, 24)
            terminal.line(f"{FREEWAY} top --dir {empty}; echo ended $?")
            terminal.sees("there is no network at", "freeway up", "ended 1")

    def test_frames_and_lines_for_scripts(self):
        environment = {**os.environ, "LC_ALL": UTF8, "COLUMNS": "90", "LINES": "20"}
        for view, text in [("network", "Compute"), ("sprint", "Sprint"), ("hosts", "host-1"), ("requests", "Paid work"), ("logs", "INFO")]:
            frame = self.run_top(*self.here(), "--once", "--view", view, env=environment)
            self.assertEqual((frame.returncode, frame.stderr), (0, ""))
            self.assertIn(text, frame.stdout)
            self.assertNotIn("\x1b", frame.stdout)
            self.assertEqual(len(frame.stdout.splitlines()), 20)
        once = self.run_top(*self.here(), "--once", "--json")
        self.assertEqual((once.returncode, once.stderr, once.stdout.count("\n")), (0, "", 1))
        whole = json.loads(once.stdout)
        self.assertEqual({len(whole["earnings"]), len(whole["status"]["hosts"])}, {4})
        for field in ["at_ms", "node", "status", "now", "epochs", "sprint", "racers", "earnings", "requests", "lanes"]:
            self.assertIsNotNone(whole[field], field)
        with subprocess.Popen([FREEWAY, "top", *self.here(), "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as lines:
            heights = [json.loads(lines.stdout.readline())["status"]["height"] for _ in range(3)]
            lines.send_signal(signal.SIGINT)
            self.assertEqual(lines.wait(PATIENCE_S), 130)
        self.assertTrue(heights[0] < heights[1] < heights[2], heights)


if __name__ == "__main__":
    unittest.main(verbosity=2)
