"""Runs llama.cpp's own HTTP server, which the package xllamacpp holds as a library, on a GGUF file; prints its base URL, serves until it is killed.

    serve.py FILE.gguf             completions, as model "small"
    serve.py FILE.gguf embedding   vectors, as model "small"
"""
import signal
import sys

import xllamacpp

params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.model_alias = ["small"]
params.n_ctx = 8192
params.n_parallel = 1
params.embedding = sys.argv[2:] == ["embedding"]
params.n_predict = 200
params.sampling.seed = 1
params.sampling.temp = 0
params.cpuparams.n_threads = 2
params.hostnames = ["127.0.0.1"]
params.port = 0
server = xllamacpp.Server(params)
print(server.listening_address + "/v1", flush=True)
signal.pause()
