// Answers as bytes on the wire (RFC 9112): head, length or chunks.
#pragma once
#include <string>

#include "serve/exchange.h"
#include "serve/http_message.h"

namespace tessera::serve {

// How the body is marked off, and what follows it on the connection.
struct Framing {
  bool keep_alive = false;
  bool chunked = false;  // of a stream; else its end is the end of the connection
  bool without_body = false;
};

// Status line and headers with the blank line that ends them.
std::string head_text(const HttpResponse& response, const Framing& framing, bool streams);

// What is to be sent now of an answer.
std::string wire_text(const Exchange::Output& output, const Framing& framing);

}  // namespace tessera::serve
