-- The requests of one run of wrk, and its figures as one line of JSON.
--
--   wrk … --script api_load.lua URL [-- FILE NUMBER]
--
-- Without arguments the URL is asked for again and again. With them it is the paths of FILE, one a
-- line, each with NUMBER behind it, then each with NUMBER + 1, and so on: so no path comes twice.

function init(arguments)
    if #arguments == 0 then
        return
    end
    local paths = {}
    for path in io.lines(arguments[1]) do
        paths[#paths + 1] = path
    end
    local first = tonumber(arguments[2])
    local asked = 0
    request = function()
        local path = paths[asked % #paths + 1] .. (first + math.floor(asked / #paths))
        asked = asked + 1
        return wrk.format("GET", path)
    end
end

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        '{"requests": %d, "seconds": %.6f, "bytes": %d, "p50_ms": %.3f, "p99_ms": %.3f, ' ..
        '"max_ms": %.3f, "failures": %d}\n',
        summary.requests, summary.duration / 1e6, summary.bytes,
        latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
