// The Error that a call throws, for tests of error lines.
#pragma once
#include <gtest/gtest.h>

#include <string>

#include "base/error.h"

namespace tessera::testing {

// The message of the Error that call() throws; fails the test when it throws none.
template <typename Function>
std::string error_of(const Function& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "expected an Error, but the call returned";
  return "";
}

}  // namespace tessera::testing
