-- Posts a different prompt each time. PROMPTS names a file with one JSON body a line.
local bodies = {}
for line in io.lines(os.getenv("BENCH_BODIES")) do bodies[#bodies + 1] = line end
local path, headers = os.getenv("BENCH_PATH"), { ["Content-Type"] = "application/json" }
if os.getenv("BENCH_KEY") then headers["Authorization"] = "Bearer " .. os.getenv("BENCH_KEY") end
local threads = {}
local sent = 0
refused = 0  -- global, so that `done` can read it in each thread

function setup(thread) threads[#threads + 1] = thread end

function request()
  sent = sent + 1
  return wrk.format("POST", path, headers, bodies[sent % #bodies + 1])
end

function response(status)
  if status ~= tonumber(os.getenv("BENCH_STATUS")) then refused = refused + 1 end
end

function done(summary, latency)
  local wrong = summary.errors.connect + summary.errors.read + summary.errors.write
    + summary.errors.timeout
  for _, thread in ipairs(threads) do wrong = wrong + (thread:get("refused") or 0) end
  print(string.format(
    '{"requests": %d, "seconds": %.3f, "p50_ms": %.3f, "p99_ms": %.3f, "errors": %d}',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3, wrong))
end
