"""Servers of pages: nginx, and one that does what a test wants."""

import os
import socket
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

import example

DOCUMENTS = Path("/usr/share/doc/python3-doc/html")

# Where a server that is not installed may write.
TEMPORARY = """  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
"""

CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  log_format page "$status $request_uri";
  access_log {folder}/access.log page;
""" + TEMPORARY + """  server {{
    listen 127.0.0.1:{port} backlog=1024;
    root {root};
  }}
}}
"""


def listen():
    """A socket that listens on a free port."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    return listener


class Nginx:
    """An nginx that serves DOCUMENTS. It inherits its listening socket, as it
    does in an upgrade, so that its port is free and it is ready at once."""

    def __enter__(self):
        os.environ["PATH"] += os.pathsep + "/usr/sbin"
        example.require("nginx")
        if not DOCUMENTS.exists():
            raise unittest.SkipTest(f"there is no {DOCUMENTS}")
        self.folder = tempfile.TemporaryDirectory()
        with listen() as listener:
            port = listener.getsockname()[1]
            path = Path(self.folder.name, "nginx.conf")
            path.write_text(CONFIGURATION.format(
                folder=self.folder.name, port=port, root=DOCUMENTS))
            fd = listener.fileno()
            self.process = subprocess.Popen(
                ["nginx", "-c", path, "-p", self.folder.name],
                pass_fds=[fd], env={**os.environ, "NGINX": f"{fd};"},
                stderr=subprocess.DEVNULL)
        self.url = f"http://127.0.0.1:{port}/"
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()

    def requests(self):
        """Ends it and returns "STATUS PATH" of every request."""
        self.process.terminate()
        self.process.wait()
        return self.log()

    def log(self):
        """The same, of the requests that were answered so far."""
        return Path(self.folder.name, "access.log").read_text().splitlines()


class Pages:
    """Calls `answer(path, connection)` in a thread for each request."""

    def __init__(self, answer):
        self.answer = answer
        self.listener = listen()
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/"

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=[connection],
                             daemon=True).start()

    def serve(self, connection):
        with connection:
            request = b""
            while b"\r\n\r\n" not in request:
                part = connection.recv(65536)
                if not part:
                    return
                request += part
            self.answer(request.split()[1].decode(), connection)


def ok(body, length=None):
    """A whole answer."""
    length = len(body) if length is None else length
    return f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}".encode()
