// Places of the .cu source: the .loc of a body, and the calls that were inlined.
#include "simulator/ptx/parser.h"

namespace sim::ptx {

/// .loc 1 12 5, function_name $L__info_string0, inlined_at 1 30 3
/// The first three say where the instruction's own source is, the last three whose call it stands
/// for: that place has a .loc before this one, which says the same of itself.
void Parser::location() {
  take();
  const Position own = position();
  here_ = {own.file, own.line};
  while (accept(",")) {
    if (token_.is_word("function_name")) {
      take();
      take_word("a label of .debug_str");
      offset();
    } else if (token_.is_word("inlined_at")) {
      take();
      here_.call = call_at(position());
    } else {
      fail_expected("'function_name' or 'inlined_at'");
    }
  }
  places_[own].within = here_.call;
  before_ = own, code_before_ = function_.code.size();
}

Parser::Position Parser::position() {
  Position p;
  p.file = uint32_t(number("the number of a file"));
  p.line = uint32_t(number("a line"));
  p.column = uint32_t(number("a column"));
  return p;
}

/// The call at a place. nvcc writes the .loc of the calls above a line once, right before the first
/// line within. Where one call was inlined several times and their instructions are mixed since, a
/// line may be of any of them.
uint32_t Parser::call_at(const Position& at) {
  Place& place = places_[at];
  const auto [call, is_new] = place.calls.try_emplace(place.within, 0);
  if (is_new) {
    call->second = add_call(place, at);
    InlinedCall choice = module_.calls[call->second - 1];
    choice.other = place.any;
    module_.calls.push_back(choice);
    place.any = uint32_t(module_.calls.size());
  }
  const bool right_before = before_ == at && code_before_ == function_.code.size();
  return place.calls.size() == 1 || right_before ? call->second : place.any;
}

/// A recursion that was inlined comes to the same place again, and which turn a .loc means is not
/// written: one turn is kept.
uint32_t Parser::add_call(const Place& place, const Position& at) {
  uint32_t depth = 0;
  for (uint32_t outer = place.within; outer != 0 && depth < kMostCalls; ++depth) {
    const InlinedCall& call = module_.calls[outer - 1];
    if (at == Position{call.at.file, call.at.line, call.column}) return outer;
    outer = call.at.call;
  }
  const uint32_t within = depth < kMostCalls ? place.within : 0;
  module_.calls.push_back({{at.file, at.line, within}, at.column});
  return uint32_t(module_.calls.size());
}

}  // namespace sim::ptx
