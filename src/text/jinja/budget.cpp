#include "text/jinja/budget.h"

#include "base/error.h"

namespace tessera::text::jinja {

void Budget::out_of_steps() const {
  fail(ErrorKind::limit, "expected a template that ends within {} steps, found one that goes on",
       limits_.steps);
}

void Budget::out_of_memory() const {
  fail(ErrorKind::limit, "expected values of at most {} bytes in all, found a template that builds more",
       limits_.memory_bytes);
}

}  // namespace tessera::text::jinja
