-- For wrk: posts each line of a file in turn, and prints what came of it as one line of JSON.
--
--     wrk -s benchmarks/load.lua URL -- FILE KEY [form]
--
-- As JSON with the key in a header, or as forms that hold the key.
--
-- Threads begin at different lines, so that no two send the same comment at once.

local threads = {}

function setup(thread)
    thread:set("number", #threads)
    table.insert(threads, thread)
end

function init(arguments)
    local headers = {
        ["Content-Type"] = "application/json",
        ["Authorization"] = "Bearer " .. arguments[2],
    }
    if arguments[3] == "form" then
        headers = { ["Content-Type"] = "application/x-www-form-urlencoded" }
    end
    requests, place, refused = {}, 0, 0
    for line in io.lines(arguments[1]) do
        requests[#requests + 1] = wrk.format("POST", nil, headers, line)
    end
    place = (number * 997) % #requests
end

function request()
    place = place % #requests + 1
    return requests[place]
end

function done(summary, latency, all)
    local errors = summary.errors
    print(string.format(
        '{"requests": %d, "seconds": %f, "p50": %f, "p99": %f, "most": %f, "failed": %d, "not_200": %d}',
        summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3,
        latency:percentile(99) / 1e3, latency.max / 1e3,
        errors.connect + errors.read + errors.write + errors.timeout, errors.status))
end
