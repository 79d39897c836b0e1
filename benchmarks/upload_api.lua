-- wrk script of the load on the upload API: every request is one of the given photos with unique bytes after its end, so
-- that no photo repeats. Arguments: the token, then the files of the photos. The last printed line is JSON.
-- Requests are kept whole and only the last bytes are rewritten, so that the sender uses little CPU time.
local ffi = require("ffi")
local OWN_BYTES = 32
local requests, count, worker = {}, 0, 0

function setup(thread)
  worker = worker + 1
  thread:set("worker_id", worker)
end

function init(args)
  local headers = { ["Authorization"] = "Bearer " .. args[1], ["Content-Type"] = "image/jpeg" }
  for i = 2, #args do
    local file = assert(io.open(args[i], "rb"))
    local photo = file:read("*a") .. string.rep("-", OWN_BYTES)
    file:close()
    local whole = wrk.format("POST", "/v1/images", headers, photo)
    local buffer = ffi.new("char[?]", #whole)
    ffi.copy(buffer, whole, #whole)
    requests[#requests + 1] = { buffer = buffer, size = #whole }
  end
  math.randomseed(os.time() + worker_id)
end

function request()
  count = count + 1
  local chosen = requests[count % #requests + 1]
  local own = string.format("%08d-%010d-%012d", worker_id, count, math.random(1, 2 ^ 30))
  ffi.copy(chosen.buffer + chosen.size - OWN_BYTES, own, OWN_BYTES)
  return ffi.string(chosen.buffer, chosen.size)
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "seconds": %.3f, "failed": %d, "refused": %d, "p50_ms": %.1f, "p95_ms": %.1f, "p99_ms": %.1f}\n',
    summary.requests, summary.duration / 1e6, errors.connect + errors.read + errors.write + errors.timeout,
    errors.status, latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3
  ))
end
