"""Hosts of one network, as network namespaces of this machine: their links can be taken down, and put up again."""

import contextlib
import os
import shutil
import subprocess

PREFIX = "198.18.77"  # of the range that is set aside for tests of networks (RFC 2544)
HERE = f"{PREFIX}.1"


class Host:
    """`within` begins a command that is to run there."""

    def __init__(self, bridge, number):
        self._name, self._link = f"{bridge}-{number}", f"{bridge}v{number}"
        self.address, self.within = f"{PREFIX}.{number + 2}", ("ip", "netns", "exec", self._name)
        ip("netns", "add", self._name)
        ip("link", "add", self._link, "type", "veth", "peer", "name", "eth0", "netns", self._name)
        ip("link", "set", self._link, "master", bridge, "up")
        ip("-n", self._name, "address", "add", f"{self.address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            ip("-n", self._name, "link", "set", device, "up")

    def cut(self):
        ip("link", "set", self._link, "down")

    def heal(self):
        ip("link", "set", self._link, "up")

    def processes(self):
        return ip("netns", "pids", self._name).split()

    def end(self):
        ip("netns", "delete", self._name)


@contextlib.contextmanager
def network(hosts):
    """So many hosts that reach this process at `HERE`, and nobody else."""
    bridge = f"cij{os.getpid() % 100_000}"
    with contextlib.ExitStack() as last:
        ip("link", "add", bridge, "type", "bridge")
        last.callback(ip, "link", "delete", bridge)
        ip("address", "add", f"{HERE}/24", "dev", bridge)
        ip("link", "set", bridge, "up")
        found = []
        for number in range(hosts):
            found.append(Host(bridge, number))
            last.callback(found[-1].end)
        yield found


@contextlib.contextmanager
def small_disk(folder, size):
    """A file system of so many bytes at a folder."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def ip(*words):
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


def lacking():
    """Why there can be no such network here; empty where there can."""
    if not (shutil.which("ip") and shutil.which("mount")):
        return "needs iproute2 and mount"
    try:
        with network(1):
            return ""
    except subprocess.CalledProcessError as error:
        return f"may not make network namespaces here: {error.stderr.strip()}"
