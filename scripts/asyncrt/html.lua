--- HTML: the links of a page.
local core = require("asyncrt.core.html")
local options = require("asyncrt.options")

local LINKS = 100000 -- that are kept of a page, unless said otherwise

local known = {
  agent = "string",
  all = "boolean",
  base = "string",
  charset = "string",
  max_links = "count",
}

---@class asyncrt.html.Parser
---@field private core userdata?
---@field private base string?
---@field private all boolean?
local Parser = {}
Parser.__index = Parser

local function is_web(address)
  return address:find("^[Hh][Tt][Tt][Pp][Ss]?:") ~= nil
end

-- Only links that lead somewhere remain.
local function resolve(links, page, base, all)
  local url = require("asyncrt.url")
  if page.base then page.base = url.resolve(base, page.base) end
  local from, kept = page.base or base, {}
  for _, link in ipairs(links) do
    link.url = url.resolve(from, link.url)
    if link.url and (all or is_web(link.url)) then kept[#kept + 1] = link end
  end
  return kept, page
end

--- Parses some bytes of the page, split anywhere.
---@param bytes string
function Parser:feed(bytes)
  options.check_string("feed", 1, bytes)
  if not self.core then error("the parser has finished", 2) end
  self.core:feed(bytes)
end

--- Ends the page.
---@return asyncrt.html.Link[]
---@return asyncrt.html.Page
function Parser:finish()
  if not self.core then error("the parser has finished", 2) end
  local links, page = self.core:finish()
  self.core = nil
  if not self.base then return links, page end
  return resolve(links, page, self.base, self.all)
end

local function new_parser(given)
  given = given or {}
  return setmetatable({
    all = given.all,
    base = given.base,
    core = core.parser(given.all, given.agent, given.charset,
                       given.max_links or LINKS),
  }, Parser)
end

local html = {}

--- A parser that is given a page piece by piece.
---@param given asyncrt.html.Options?
---@return asyncrt.html.Parser
function html.parser(given)
  options.check("parser", 1, given, known)
  return (new_parser(given))
end

--- The links of a page that is here as a whole.
---@param page string
---@param given asyncrt.html.Options?
---@return asyncrt.html.Link[]
---@return asyncrt.html.Page
function html.links(page, given)
  options.check_string("links", 1, page)
  options.check("links", 2, given, known)
  local parser = new_parser(given)
  parser:feed(page)
  return parser:finish()
end

return html
