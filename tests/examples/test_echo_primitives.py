from echo_tests import EchoTests
from example import TestCase


class EchoPrimitives(EchoTests, TestCase):
    script = "echo_primitives.lua"
    cut_off = True
    reset_line = "connection reset by peer|broken pipe|traceback|^\t"
