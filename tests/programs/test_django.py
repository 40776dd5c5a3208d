"""Django as `startproject` makes it: its database lies beside its code, and what people put there stays."""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.programs.trial import Trial

VERSION = "5.2.8"
#: `django-admin startproject`'s settings, less what this site does not use.
SETTINGS = """
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = "django-insecure-only-for-tests"
DEBUG = True
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
ROOT_URLCONF = "site_.urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
"""
URLS = """
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.urls import path

GREETING = "edition 0"

def accounts(request):
    if request.method == "POST":
        User.objects.create_user(request.body.decode(), password="secret")
    names = User.objects.order_by("username").values_list("username", flat=True)
    return HttpResponse(f"{GREETING}: {' '.join(names)}")

urlpatterns = [path("", accounts)]
"""
MANAGE = """
import os, sys
from django.core.management import execute_from_command_line
os.environ["DJANGO_SETTINGS_MODULE"] = "site_.settings"
execute_from_command_line(sys.argv)
"""
RUN = "python manage.py migrate --no-input && exec python manage.py runserver --noreload 127.0.0.1:$$PORT"


def test_django(trial: Trial) -> None:
    trial.name, trial.version = "Django", VERSION
    files = {"manage.py": MANAGE, "site_/__init__.py": ""}
    files |= {"site_/settings.py": SETTINGS, "site_/urls.py": URLS}
    folder = trial.package("site", {**files, "requirements.txt": f"django=={VERSION}\n"})
    names: list[str] = []

    def add(name: str) -> None:
        """Somebody gets an account."""
        names.append(name)
        status, text = trial.ask("site", method="POST", body=name)
        assert status == 200, text[:500]

    def complete(edition: int) -> None:
        """The program of this edition knows everybody who ever had one."""
        assert trial.page("site") == f"edition {edition}: {' '.join(sorted(names))}"

    def write(edition: int) -> None:
        (folder / "site_/urls.py").write_text(URLS.replace("edition 0", f"edition {edition}"))

    with trial.step("installed"):
        trial.manifest("site", source=str(folder), command=["sh", "-c", RUN], port="auto")
        trial.up()
        trial.installed("site")
        add("first")
        complete(0)
    with trial.step("five edits"):
        for edition in range(1, 6):
            trial.rolled("site", lambda edition=edition: write(edition))  # type: ignore[misc]
            complete(edition)
            add(f"of-{edition}")
    with trial.step("crashed"):
        trial.crashed("site")
        add("after-the-crash")
        complete(5)
    with trial.step("adopted"):
        trial.adopted("site")
        add("after-the-node")
        complete(5)
    with trial.step("rolled back"):
        # The author has the old source again: the revision of two editions ago, with today's accounts.
        trial.rolled("site", lambda: write(3))
        complete(3)
        add("after-the-rollback")
    with trial.step("a failed edition"):
        running = trial.pid("site")
        (folder / "site_/urls.py").write_text("raise SystemExit('not today')\n")
        trial.until(lambda: trial.condition("site", "Stalled")[0] == "True" or _failed(trial), "told")
        write(6)
        trial.until(lambda: trial.replaced("site", running), "the mended one")
        trial.until(lambda: trial.page("site").startswith("edition 6"), "serves")
        complete(6)
    with trial.step("stopped and started"):
        trial.stopped("site")
        assert trial.atek("start", "site").returncode == 0
        trial.until(lambda: trial.ready("site"), "started")
        complete(6)
    with trial.step("killed with its node"):
        pid = trial.pid("site")
        trial.kill()
        os.kill(pid, signal.SIGKILL)
        trial.up()
        trial.until(lambda: trial.ready("site"), "started")
        complete(6)


def _failed(trial: Trial) -> bool:
    return bool(re.search("not today", trial.why("site")))
