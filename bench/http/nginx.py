#!/usr/bin/env python3
"""Becomes an nginx, one process, that answers every request with six bytes."""

import os
import sys
import tempfile
from pathlib import Path

CONFIGURATION = """
daemon off;
master_process off;
worker_processes 1;
error_log {folder}/error.log;
pid {folder}/nginx.pid;
events {{ worker_connections 12000; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {folder}/a;
  proxy_temp_path {folder}/b;
  fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d;
  scgi_temp_path {folder}/e;
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{ default_type text/plain; return 200 "hello\\n"; }}
  }}
}}
"""

folder = tempfile.mkdtemp(prefix="bench-nginx-")
configuration = Path(folder, "nginx.conf")
configuration.write_text(CONFIGURATION.format(folder=folder, port=sys.argv[1]))
os.execvp("nginx", ["nginx", "-c", configuration])
