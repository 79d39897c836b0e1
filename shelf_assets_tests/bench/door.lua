-- wrk's script of the load on the door: every request is one of the given photos with bytes of its own behind its end,
-- so that none is a repetition. Arguments: the key's token, then the photos' files. The last line printed is JSON.
local bodies, headers, count, worker = {}, {}, 0, 0

function setup(thread)
  worker = worker + 1
  thread:set("worker_id", worker)
end

function init(args)
  headers["Authorization"] = "Bearer " .. args[1]
  headers["Content-Type"] = "image/jpeg"
  for i = 2, #args do
    local file = assert(io.open(args[i], "rb"))
    bodies[#bodies + 1] = file:read("*a")
    file:close()
  end
  math.randomseed(os.time() + worker_id)
end

function request()
  count = count + 1
  local own = string.format("%d-%d-%d", worker_id, count, math.random(1, 2 ^ 30))
  return wrk.format("POST", "/v1/images", headers, bodies[count % #bodies + 1] .. own)
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "seconds": %.3f, "failed": %d, "refused": %d, "p50_ms": %.1f, "p95_ms": %.1f, "p99_ms": %.1f}\n',
    summary.requests, summary.duration / 1e6, errors.connect + errors.read + errors.write + errors.timeout,
    errors.status, latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3
  ))
end
