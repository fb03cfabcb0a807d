"""systemd accepts the unit of docs/serving.md."""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from test_examples import DOCUMENT

# systemd's own scale, from 0 for a service that may do nothing to 10.
EXPOSED = 20


class Unit(unittest.TestCase):
    def setUp(self):
        if shutil.which("systemd-analyze") is None:
            self.skipTest("SKIPPED: systemd-analyze is not installed")
        unit = re.search(r"^```ini\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)[1]
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name, "distilbert.service")
        # A program that exists here.
        self.path.write_text(unit.replace("/usr/local/bin/distilbert", sys.executable))

    def analyze(self, *arguments):
        command = ["systemd-analyze", *arguments, self.path]
        return subprocess.run(command, capture_output=True, text=True)

    def test_is_valid(self):
        outcome = self.analyze("verify", "--man=no")
        self.assertEqual((outcome.returncode, outcome.stdout + outcome.stderr), (0, ""))

    def test_may_do_little(self):
        outcome = self.analyze("security", "--offline=true", f"--threshold={EXPOSED}", "--no-pager")
        self.assertEqual(outcome.returncode, 0, outcome.stdout[-500:] + outcome.stderr)

    def test_errors_are_noticed(self):
        self.path.write_text(self.path.read_text().replace("Restart=on-failure", "Restart=sometimes"))
        outcome = self.analyze("verify", "--man=no")
        self.assertIn("ignoring: sometimes", outcome.stdout + outcome.stderr)
