-- A JSON API: notes, kept in memory. Runs until Ctrl-C:
--   asyncrt examples/api.lua [address]
--   curl -d '{"text": "buy milk"}' http://127.0.0.1:8080/notes
local http = require("asyncrt.http")
local json = require("asyncrt.json")
local net = require("asyncrt.net")
local notes, last = {}, 0

local function answer(res, status, value)
  res.status = status
  res.headers["Content-Type"] = "application/json"
  return res:send(json.encode(value) .. "\n")
end

-- Around a handler that wants a text in the body.
local function with_text(handler)
  return function(req, res)
    local body = req:read_all()
    if not body then return end -- too long, too slow: the server answers
    local note, message = json.decode(body)
    if type(note) == "table" and type(note.text) == "string" then
      return handler(res, note.text)
    end
    answer(res, 400, { error = message or "an object with a text is expected" })
  end
end

-- Around a handler of a note that there is.
local function of_note(handler)
  return function(req, res)
    local note = notes[math.tointeger(req.params.id) or 0]
    if note then return handler(res, note) end
    answer(res, 404, { error = "no such note" })
  end
end

local router = http.router({ refuse = function(req, res)
  answer(res, res.status, { error = req.method .. " " .. req.path })
end })
router:get("/notes", function(_, res)
  local list = json.array()
  for id = 1, last do list[#list + 1] = notes[id] end
  answer(res, 200, list)
end)
router:post("/notes", with_text(function(res, text)
  last = last + 1
  notes[last] = { id = last, text = text }
  answer(res, 201, notes[last])
end))
router:get("/notes/{id}", of_note(function(res, note)
  answer(res, 200, note)
end))
router:delete("/notes/{id}", of_note(function(res, note)
  notes[note.id] = nil
  res.status = 204
end))
local listener = assert(net.listen(arg[1] or "127.0.0.1:8080"))
print("listening on " .. listener:address())
http.serve(listener, router, { drain = 1, access_log = io.stderr })
