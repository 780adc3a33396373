// Python's three ways to format: '%s' % x, '{}'.format(x), and rounding.
#pragma once
#include <string>

#include "text/jinja/interpreter.h"

namespace tessera::text::jinja {

// printf-style, as str % arguments. Error bad_input for a format and arguments that do not fit.
Value printf_format(Interpreter& interpreter, const Text& format, const Value& arguments);
// str.format(*positional, **keyword).
Value brace_format(Interpreter& interpreter, const Text& format, const Call& call);
// format(value, specification): [[fill]align][sign][#][0][width][,][.precision][type].
Value format_value(Interpreter& interpreter, const Value& value, const Text& specification);

// `value` with exactly `precision` digits behind the point; ties of the exact binary value to even, as C and
// Python do.
std::string fixed_digits(double value, int precision);
// A number in one of Python's float presentation types: e E f F g G.
std::string float_digits(double value, char type, int precision, bool alternate);
// round(value, digits) of Python; digits may be negative.
double round_float(double value, std::int64_t digits);
std::string integer_digits(std::int64_t magnitude_source, int base, bool upper);

}  // namespace tessera::text::jinja
