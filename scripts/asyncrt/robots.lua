--- What a site asks of programs that fetch its pages: robots.txt (RFC 9309),
--- and the field X-Robots-Tag.
local options = require("asyncrt.options")

local LIMIT <const> = 500 * 1024 -- bytes that are looked at
local LONGEST_DELAY <const> = 86400 -- seconds

---@class asyncrt.robots.Rule
---@field size integer bytes of its pattern: the longest decides
---@field allow boolean
---@field first string what a path begins with
---@field pieces string[]? what follows between stars
---@field last string? what stands at the end of the path, behind a star
---@field whole boolean? nothing may follow `first`

--- Lines that belong together: some agents, and what they are asked.
---@class asyncrt.robots.Block
---@field rules asyncrt.robots.Rule[]
---@field delay number? seconds

---@class asyncrt.robots.Rules
---@field sitemaps string[]
---@field private blocks table<string, asyncrt.robots.Block[]> by product token
---@field private merged table<string, asyncrt.robots.Block> those asked for
local Rules = {}
Rules.__index = Rules

local robots = {}

local function trim(text)
  local from = text:find("%S")
  if not from then return "" end
  -- Not by "%s*$", which takes the square of the time for many spaces.
  return text:sub(from, #text - text:reverse():find("%S") + 1)
end

-- The product token of an agent: "bot" of "Bot/1.0 (+http://bot.example)".
local function token(agent)
  if agent:find("^%*%s") or agent == "*" then return "*" end
  return (agent:match("^[A-Za-z_-]+") or agent):lower()
end

-- --- Patterns ---

local function percent(c)
  return ("%%%02X"):format(c:byte())
end

-- One form for all spellings: bytes beyond ASCII become codes, the codes of
-- letters and the like become these, and the others are in capitals.
local function normalise(text)
  text = text:gsub("[\0-\32\127-\255]", percent)
  text = text:gsub("%%(%x%x)", function(hex)
    local c = string.char(tonumber(hex, 16))
    return c:find("[A-Za-z0-9%-._~]") and c or "%" .. hex:upper()
  end)
  -- In a query these four mean the same in both spellings.
  local mark = text:find("?", 1, true)
  if not mark then return text end
  return text:sub(1, mark) .. text:sub(mark + 1):gsub("%%[234][0AF]", {
    ["%2F"] = "/", ["%3A"] = ":", ["%3F"] = "?", ["%40"] = "@",
  })
end

local function compile(pattern, allow)
  pattern = normalise(pattern)
  local rule = { size = #pattern, allow = allow }
  local anchored = pattern:sub(-1) == "$"
  if anchored then pattern = pattern:sub(1, -2) end
  pattern = pattern:gsub("%$", percent) -- elsewhere it is itself
  local rest
  rule.first, rest = pattern:match("^([^*]*)(.*)$")
  if rest == "" then
    rule.whole = anchored
    return rule
  end
  rule.pieces = {}
  for piece in rest:gmatch("%*([^*]*)") do
    rule.pieces[#rule.pieces + 1] = piece
  end
  if anchored then rule.last = table.remove(rule.pieces) end
  return rule
end

-- Each piece is looked for once, at the first place where it can be: if there
-- is a way at all, there is one from there.
local function matches(rule, path)
  if path:sub(1, #rule.first) ~= rule.first then return false end
  local at = #rule.first + 1
  if not rule.pieces then return not rule.whole or at > #path end
  for _, piece in ipairs(rule.pieces) do
    local _, to = path:find(piece, at, true)
    if not to then return false end
    at = to + 1
  end
  local last = rule.last
  if not last then return true end
  return #path - #last + 1 >= at and path:sub(#path - #last + 1) == last
end

-- The longest pattern decides; of two that are as long, the one that allows.
local function before(a, b)
  if a.size ~= b.size then return a.size > b.size end
  return a.allow and not b.allow
end

-- --- Reading ---

-- What the fields of the text do to `rules`.
local function new_fields(rules)
  local block -- nil before the first agent
  local in_agents = false
  local fields = {}

  fields["user-agent"] = function(value)
    -- Lines in a row name the agents of one block.
    if not in_agents then block = { rules = {} } end
    in_agents = true
    local name = token(value)
    local blocks = rules.blocks[name] or {}
    rules.blocks[name] = blocks
    if blocks[#blocks] ~= block then blocks[#blocks + 1] = block end
  end

  local function add_rule(value, allow)
    in_agents = false
    -- Without a pattern it asks for nothing.
    if block and value ~= "" then
      block.rules[#block.rules + 1] = compile(value, allow)
    end
  end
  function fields.allow(value) add_rule(value, true) end
  function fields.disallow(value) add_rule(value, false) end

  -- These two are no rules, and end no list of agents.
  fields["crawl-delay"] = function(value)
    local delay = value:find("^[0-9.]+$") and tonumber(value)
    if block and delay then
      block.delay = block.delay or math.min(delay, LONGEST_DELAY)
    end
  end
  function fields.sitemap(value)
    if value ~= "" then rules.sitemaps[#rules.sitemaps + 1] = value end
  end
  return fields
end

-- The first lines of a long text; one that is cut off could mean another thing.
local function shorten(text)
  if #text <= LIMIT then return text end
  text = text:sub(1, LIMIT)
  local back = text:reverse():find("[\r\n]")
  return back and text:sub(1, -back) or ""
end

--- Reads a robots.txt; what it does not understand it skips.
---@param text string of which the first 500 KiB count
---@return asyncrt.robots.Rules
function robots.parse(text)
  options.check_string("parse", 1, text)
  local rules = setmetatable({ blocks = {}, merged = {}, sitemaps = {} }, Rules)
  local fields = new_fields(rules)
  for line in shorten(text):gsub("^\xEF\xBB\xBF", ""):gmatch("[^\r\n]+") do
    line = line:match("^[^#]*")
    local colon = line:find(":", 1, true)
    local read = colon and fields[trim(line:sub(1, colon - 1)):lower()]
    if read then read(trim(line:sub(colon + 1))) end
  end
  return rules
end

-- --- Asking ---

-- What an agent is asked, in all blocks that name it; else those for all.
local function find(self, agent)
  local name = token(agent)
  if not self.blocks[name] then name = "*" end
  local merged = self.merged[name]
  if merged then return merged end
  merged = { rules = {} }
  for _, block in ipairs(self.blocks[name] or {}) do
    table.move(block.rules, 1, #block.rules, #merged.rules + 1, merged.rules)
    merged.delay = merged.delay or block.delay
  end
  table.sort(merged.rules, before)
  self.merged[name] = merged
  return merged
end

--- Whether an agent may fetch a page.
---@param agent string such as "Bot" or "Bot/1.0"
---@param path string with its query; a whole URL will do
---@return boolean
function Rules:allowed(agent, path)
  options.check_string("allowed", 1, agent)
  options.check_string("allowed", 2, path)
  path = path:match("^%a[%w+.-]*://[^/?#]*(.*)") or path
  path = normalise(path:match("^[^#]*")):gsub("[*$]", percent)
  if path:sub(1, 1) ~= "/" then path = "/" .. path end
  if path == "/robots.txt" then return true end
  for _, rule in ipairs(find(self, agent).rules) do
    if matches(rule, path) then return rule.allow end
  end
  return true
end

--- The seconds that an agent is asked to leave between two fetches.
---@param agent string
---@return number?
function Rules:crawl_delay(agent)
  options.check_string("crawl_delay", 1, agent)
  return find(self, agent).delay
end

-- --- X-Robots-Tag ---

-- Directives with a value. Another word before a colon names an agent.
local VALUED <const> = {
  ["max-image-preview"] = true, ["max-snippet"] = true,
  ["max-video-preview"] = true, unavailable_after = true,
}

-- Words between commas. Those behind an agent's name are for that one; a date
-- may hold commas and colons, and what these leave of it is no word.
local function read_tag(line, agent, asked)
  local is_meant = true
  for word in line:gmatch("[^,]+") do
    word = trim(word):lower()
    local name, rest = word:match("^([%a*_-][%w._/-]*)%s*:(.*)$")
    if name and not VALUED[name] then
      name, word = token(name), trim(rest)
      is_meant = name == "*" or name == agent
    end
    if is_meant and (word == "noindex" or word == "none") then
      asked.noindex = true
    end
    if is_meant and (word == "nofollow" or word == "none") then
      asked.nofollow = true
    end
  end
end

---@class asyncrt.robots.Asked
---@field noindex boolean
---@field nofollow boolean

--- What the field X-Robots-Tag of a response asks.
---@param value string|string[]|nil one line, or several
---@param agent string? what is for it counts beside what is for all
---@return asyncrt.robots.Asked
function robots.parse_tag(value, agent)
  if agent ~= nil then
    options.check_string("parse_tag", 2, agent)
    agent = token(agent)
  end
  local asked = { noindex = false, nofollow = false }
  for _, line in ipairs(type(value) == "table" and value or { value }) do
    options.check_string("parse_tag", 1, line)
    read_tag(line, agent, asked)
  end
  return asked
end

return robots
