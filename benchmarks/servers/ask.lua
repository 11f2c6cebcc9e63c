-- What wrk sends, and what it prints on its last line: requests a second, milliseconds, failures.
wrk.method, wrk.body = "POST", io.open(os.getenv("BODY")):read("*a")
wrk.headers["Content-Type"] = "application/json"

function done(all, latency)
  local e = all.errors
  print(string.format('{"requests": %f, "p50": %f, "p99": %f, "errors": %d}',
    all.requests / all.duration * 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    e.connect + e.read + e.write + e.status + e.timeout))
end
