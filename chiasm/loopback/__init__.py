"""HTTP on this machine: what the pages that chiasm serves have in common.

replies.py    requests, replies and routes
bodies.py     bodies of requests as settings and files
server.py     the server, its checks and its bounds
"""
