# mypy: ignore-errors
# It patches the standard library's own classes and runs under whatever Python an image needs.
"""Runs first in every Python process of a container that the process driver starts.

It gives the process what a network namespace would: the task's own addresses. It uses the standard
library only, for it runs in the container's interpreter, where nothing of the lab exists.

- a bind to all addresses goes to the task's outer address, which this machine can reach;
- a bind to 127.0.0.1 goes to the task's inner address, which only the task's containers use, so
  that a server on 127.0.0.1 is as unreachable from outside as it is on Fargate;
- a connection to 127.0.0.1 finds either, and the lab cloud where it listens there.

Where a machine has one loopback address only, ports are mapped instead; small files in the `net`
folder of the task tell which listener is where.
"""

import builtins
import errno
import importlib.machinery
import os
import signal
import socket
import sys
import types

WILDCARD = {"", "0.0.0.0", "::", "::0"}
LOOPBACK = {"127.0.0.1", "localhost", "::1", "::ffff:127.0.0.1"}
_bind = socket.socket.bind
_connect = socket.socket.connect
_connect_ex = socket.socket.connect_ex


class Addresses:
    """Where this task's listeners are. `config` comes from the driver."""

    def __init__(self, config):
        self.outer = config["outer"]
        self.inner = config["inner"]
        self.mapped = config["mapped"]
        self.net = config["net"]
        self.cloud_port = config["cloud_port"]

    def _note(self, side, port):
        return os.path.join(self.net, f"{side}-{port}")

    def bind(self, sock, address):
        """Bind where the task's address is; the rest of the machine stays untouched."""
        host, port = address[0], address[1]
        side = self._side(host)
        if side is None:
            return _bind(sock, address)
        target = self.outer if side == "outer" else self.inner
        if sock.family == socket.AF_INET6:
            if sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) and side == "outer":
                # The second of two listeners that asyncio opens; the first has the IPv4 side.
                return _bind(sock, ("::1", 0))
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            target = "::ffff:" + target
        if not self.mapped:
            _bind(sock, (target, port))
        elif port and self._taken(side, port):
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        else:
            _bind(sock, (target, 0))
        if sock.type == socket.SOCK_STREAM:
            self._tell(side, port or sock.getsockname()[1], sock.getsockname()[1])

    def _taken(self, side, port):
        found = self.where(port, only=side)
        if found is None:
            return False
        probe = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        probe.settimeout(1)
        try:
            return _connect_ex(probe, found) == 0
        finally:
            probe.close()

    def _side(self, host):
        if host in WILDCARD or host is None:
            return "outer"
        if host in LOOPBACK:
            return "inner"
        if host == self.outer:
            return "outer"
        return None

    def _tell(self, side, port, actual):
        path = self._note(side, port)
        with _open(path + ".part", "w") as file:
            file.write(f"{actual} {os.getpid()}")
        os.replace(path + ".part", path)

    def where(self, port, only=None):
        """The address behind 127.0.0.1:port inside the task, or None where nobody listens."""
        for side in ("inner", "outer"):
            if only in (None, side):
                try:
                    with _open(self._note(side, port)) as file:
                        actual = int(file.read().split()[0])
                except (OSError, ValueError, IndexError):
                    continue
                return (self.outer if side == "outer" else self.inner, actual)
        return None

    def target(self, host, port):
        """Where a connection of this task really goes."""
        if host in LOOPBACK:
            found = self.where(port)
            if found is not None:
                return found
            if port != self.cloud_port:
                # Nobody of this task listens there; what else listens on this machine is no
                # more part of the task than another customer's server would be.
                return (self.inner, port) if not self.mapped else (self.inner, 1)
        elif self.mapped and host == self.outer:
            return self.where(port, only="outer") or (host, port)
        return None

    def rewrite(self, sock, address):
        """The address to connect a socket to."""
        if sock.family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple):
            found = self.target(address[0], address[1])
            if found is not None:
                if sock.family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                    return ("::ffff:" + found[0], found[1])
                return found
        return address


_open = open


def patch_sockets(places):
    """Make every socket of this process live at the task's addresses."""

    def bind(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple):
            return places.bind(self, address)
        return _bind(self, address)

    def connect(self, address):
        return _connect(self, places.rewrite(self, address))

    def connect_ex(self, address):
        return _connect_ex(self, places.rewrite(self, address))

    socket.socket.bind = bind
    socket.socket.connect = connect
    socket.socket.connect_ex = connect_ex
    after_import("uvloop", lambda module: patch_uvloop(module, places))
    if sys.platform == "win32":
        after_import("asyncio.proactor_events", lambda module: patch_proactor(module, places))


def patch_uvloop(module, places):
    """uvloop binds and connects in C: hand it sockets that are bound already."""
    create_server, create_connection = module.Loop.create_server, module.Loop.create_connection

    async def server(self, factory, host=None, port=None, **options):
        names = [host] if host is None or isinstance(host, str) else list(host)
        own = names[0] is None or names[0] in WILDCARD | LOOPBACK | {places.outer}
        if own and options.get("sock") is None and port is not None and len(names) == 1:
            # What asyncio does with host and port, on an address of the task.
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if options.pop("reuse_port", False):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            for name in ("reuse_address", "family", "flags"):
                options.pop(name, None)
            try:
                sock.bind((names[0] or "0.0.0.0", port))
            except BaseException:
                sock.close()
                raise
            return await create_server(self, factory, sock=sock, **options)
        return await create_server(self, factory, host, port, **options)

    async def connection(self, factory, host=None, port=None, **options):
        if host is not None and port is not None:
            found = places.target(host, int(port))
            if found is not None:
                if options.get("ssl") and options.get("server_hostname") is None:
                    options["server_hostname"] = host
                host, port = found
        return await create_connection(self, factory, host, port, **options)

    module.Loop.create_server = server
    module.Loop.create_connection = connection


def patch_proactor(module, places):
    """Windows' event loop connects through its own call."""
    loop = module.BaseProactorEventLoop
    sock_connect = loop.sock_connect

    async def connect(self, sock, address):
        return await sock_connect(self, sock, places.rewrite(sock, address))

    loop.sock_connect = connect


class AfterImport:
    """A finder that lets a function see a module right after its import."""

    def __init__(self):
        self.waiting = {}

    def find_spec(self, name, path=None, target=None):
        """The usual spec, with the function run after the module's own code."""
        function = self.waiting.pop(name, None)
        if function is None:
            return None
        for finder in sys.meta_path:
            if finder is not self:
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    break
        else:
            return None
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            function(module)

        spec.loader.exec_module = exec_module
        return spec


_after = AfterImport()


def after_import(name, function):
    """Call function(module) when `name` has been imported."""
    if name in sys.modules:
        function(sys.modules[name])
    else:
        _after.waiting[name] = function


class Substitutes:
    """Native packages of an image for another platform, taken from the lab's own environment."""

    def __init__(self, names, folder):
        self.names, self.folder = frozenset(names), folder

    def find_spec(self, name, path=None, target=None):
        """The lab's copy of a package that the image has for another platform."""
        if path is None and name in self.names:
            return importlib.machinery.PathFinder.find_spec(name, [self.folder], target)
        return None


class Paths:
    """The container's absolute paths as this machine's: for what Python itself opens.

    Files of the image are shared by all containers, so what is written over them goes to a folder
    of this container's own.
    """

    def __init__(self, config):
        self.own = sorted(config["own"].items(), key=lambda item: -len(item[0]))
        self.root, self.upper = config["root"], config["upper"]
        self.outside = (*config["outside"], "/proc/", "/sys/", "/dev/")

    def __call__(self, path, writing=False):
        """The file behind a path; anything that is no path of the image stays as it is."""
        if isinstance(path, int):
            return path
        text = os.fspath(path)
        if not isinstance(text, str) or not text.startswith("/") or text.startswith(self.outside):
            return path
        text = os.path.normpath(text).replace(os.sep, "/")
        for prefix, folder in self.own:
            if text == prefix or text.startswith(prefix + "/"):
                return folder + text[len(prefix) :]
        upper, lower = self.upper + text, self.root + text
        if _lexists(upper):
            return upper
        if writing and os.path.isdir(_parent(lower)):
            os.makedirs(_parent(upper), exist_ok=True)
            if _lexists(lower) and not os.path.isdir(lower):
                import shutil

                shutil.copyfile(lower, upper)
            return upper
        return lower if _lexists(lower) else path


_lstat = os.lstat
_parent = os.path.dirname


def _lexists(path):
    try:
        _lstat(path)
    except (OSError, ValueError):
        return False
    return True


def patch_paths(paths):
    """Let open() and the functions of `os` see the container's files."""
    import io

    raw_open, raw_os_open = io.open, os.open
    changing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

    def opened(file, mode="r", *rest, **options):
        return raw_open(paths(file, bool(set("wax+") & set(mode))), mode, *rest, **options)

    def os_opened(path, flags, *rest, **options):
        return raw_os_open(paths(path, bool(flags & changing)), flags, *rest, **options)

    builtins.open = io.open = opened
    os.open = os_opened
    for name in ("stat", "lstat", "access", "readlink", "chdir", "utime", "chmod"):
        _patch_path(name, paths, writing=False, count=1)
    for name in ("listdir", "scandir"):
        _patch_path(name, paths, writing=False, count=1)
    for name in ("mkdir", "remove", "unlink", "rmdir", "truncate"):
        _patch_path(name, paths, writing=True, count=1)
    for name in ("rename", "replace", "link"):
        _patch_path(name, paths, writing=True, count=2)


def _patch_path(name, paths, writing, count):
    function = getattr(os, name, None)
    if function is None:
        return

    def patched(*arguments, **options):
        moved = [paths(a, writing) for a in arguments[:count]]
        return function(*moved, *arguments[count:], **options)

    patched.__name__ = name
    setattr(os, name, patched)


def hide_shim(kind, value, trace):
    """Print an uncaught error as Python would without this module."""
    own = trace
    while own is not None and own.tb_frame.f_code.co_filename in _own_files:
        own = own.tb_next
    if isinstance(value, BaseException):
        value = value.with_traceback(own)
    sys.__excepthook__(kind, value, own)


_own_files = {__file__}


def options_of(arguments):
    """(interpreter options, mode, target, the rest) of a `python` command line."""
    options = []
    rest = list(arguments)
    while rest:
        word = rest[0]
        if word == "--":
            rest.pop(0)
            break
        if word == "-" or not word.startswith("-"):
            break
        letters = word[1:]
        for position, letter in enumerate(letters):
            if letter in "mc":
                target = letters[position + 1 :]
                rest.pop(0)
                if not target:
                    if not rest:
                        raise SystemExit(f"Argument expected for the -{letter} option")
                    target = rest.pop(0)
                if position:
                    options.append("-" + letters[:position])
                return options, letter, target, rest
            if letter in "WX":
                rest.pop(0)
                options.append(word)
                if position == len(letters) - 1 and rest:
                    options.append(rest.pop(0))
                break
        else:
            rest.pop(0)
            options.append(word)
            continue
    if not rest or rest[0] == "-":
        return options, "stdin", "-", rest[1:]
    return options, "file", rest[0], rest[1:]


def site_builtins():
    """`exit`, `quit` and `help`, which Python's own start-up adds outside of the lab."""
    import _sitebuiltins

    end = "Ctrl-Z plus Return" if os.sep == "\\" else "Ctrl-D (i.e. EOF)"
    builtins.quit = _sitebuiltins.Quitter("quit", end)
    builtins.exit = _sitebuiltins.Quitter("exit", end)
    builtins.help = _sitebuiltins._Helper()


def main(boot, config):
    """Become `python3 <arguments>` inside the container."""
    _own_files.add(boot)
    sys.path[:] = [
        p for p in sys.path if p not in (os.path.dirname(__file__), os.path.dirname(boot))
    ]
    sys.meta_path.insert(0, _after)
    if config["substitutes"]:
        sys.meta_path.insert(0, Substitutes(config["substitutes"], config["lab_site"]))
    patch_sockets(Addresses(config))
    if config["first"] and os.name == "posix":
        # Process 1 of a container does not die of a SIGTERM that it has no handler for (kill(2)).
        signal.signal(signal.SIGTERM, lambda *_: None)
    patch_paths(Paths(config["paths"]))
    if config["site"]:
        import site

        for folder in config["site"]:
            site.addsitedir(folder)
    site_builtins()
    sys.executable = config["executable"] or sys.executable
    sys.excepthook = hide_shim
    options, mode, target, rest = options_of(sys.argv[1:])
    if any("u" in o and o[1:2] not in ("W", "X") for o in options):
        sys.stdout.reconfigure(write_through=True)
        sys.stderr.reconfigure(write_through=True)
    run(mode, target, rest)


def run(mode, target, rest):
    """What the interpreter's main function does with -m, -c, a script or standard input."""
    module = types.ModuleType("__main__")
    module.__builtins__ = builtins
    main.keep = sys.modules["__main__"]
    sys.modules["__main__"] = module
    if mode == "m":
        import runpy

        sys.argv = ["-m", *rest]
        sys.path.insert(0, os.getcwd())
        runpy._run_module_as_main(target)
        return
    if mode == "c":
        sys.argv = ["-c", *rest]
        sys.path.insert(0, "")
        code = compile(target, "<string>", "exec")
    elif mode == "stdin":
        sys.argv = ["-" if rest else "", *rest]
        sys.path.insert(0, "")
        code = compile(sys.stdin.read(), "<stdin>", "exec")
    else:
        sys.argv = [target, *rest]
        if os.path.isdir(target) or target.endswith((".zip", ".pyz")):
            import runpy

            sys.path.insert(0, target)
            runpy._run_module_as_main("__main__", False)
            return
        sys.path.insert(0, os.path.dirname(os.path.realpath(target)))
        source = source_of(target)
        module.__file__ = target
        code = compile(source, target, "exec")
    exec(code, module.__dict__)


def source_of(target):
    """A script's text; without one, what Python says then."""
    try:
        with _open(target, "rb") as file:
            return file.read()
    except OSError as error:
        sys.stderr.write(
            f"python3: can't open file {os.path.abspath(target)!r}: "
            f"[Errno {error.errno}] {error.strerror}\n"
        )
        raise SystemExit(2) from None
