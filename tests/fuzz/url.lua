-- What has a normal form keeps it, and leads where it led.
local url = require("asyncrt.url")

return function(data)
  local normal = url.normalise(data)
  assert((url.parse(data) ~= nil) == (normal ~= nil))
  if normal and #normal < 20000 then
    assert(url.normalise(normal) == normal)
    local there = assert(url.resolve("http://h/a/b?c", data))
    local again = assert(url.resolve("http://h/a/b?c", normal))
    assert(url.normalise(there) == url.normalise(again))
  end
  assert(url.decode(url.encode(data)) == data)
  url.parse_query(data)
end
