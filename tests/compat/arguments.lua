-- arg and `...`, with what looks like an option above the script.
-- arguments: -x --help -- last "two words" ""
-- script only: a wrapper is an argument too
print(select("#", ...), ...)
for i = 0, #arg + 1 do print(i, arg[i]) end
print(select("#", table.unpack(arg)), #arg)
