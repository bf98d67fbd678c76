-- The checks of Lua that `.ci/run` makes.
std = "lua54"
max_line_length = 80
max_code_line_length = 80
self = false
-- `local x <close>` is used by being closed.
unused_secondaries = false

-- luaunit collects the globals whose names begin with "Test".
files["tests/lua/test_*.lua"] = {
  ignore = { "111/Test.*", "112/Test.*", "113/Test.*" },
}

-- A test reads best with its case on one line.
files["tests"] = { max_line_length = 130, max_code_line_length = 130 }

exclude_files = { "build/" }
