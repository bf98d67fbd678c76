-- A page has the same links however it is split. Its first byte says how.
local html = require("asyncrt.html")

local function shown(links, about)
  local lines = { tostring(about.base), about.charset, tostring(about.noindex) }
  for _, link in ipairs(links) do
    lines[#lines + 1] = link.tag .. " " .. link.url .. " " .. (link.rel or "")
  end
  return table.concat(lines, "\n")
end

return function(data)
  local size = 1 + (data:byte() or 0) % 16
  local page, options = data:sub(2), { all = size % 2 == 0 }
  local parser = html.parser(options)
  for i = 1, #page, size do parser:feed(page:sub(i, i + size - 1)) end
  assert(shown(parser:finish()) == shown(html.links(page, options)))
end
