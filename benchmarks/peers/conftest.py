"""These run inside environments of their own and are not imported here."""

collect_ignore = ["serve_bentoml.py", "serve_litserve.py", "serve_ray.py"]
