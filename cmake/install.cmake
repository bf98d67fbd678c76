# What `cmake --install` installs: the command, the library and its header.
