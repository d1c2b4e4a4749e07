-- Posts the benchmark's body with wrk, which takes a body from a file only through a script.
local file = assert(io.open(os.getenv("COST_BODY"), "rb"))
wrk.method = "POST"
wrk.body = file:read("*a")
wrk.headers["Content-Type"] = "application/json"
file:close()
