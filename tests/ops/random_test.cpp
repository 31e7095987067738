#include "framework/ops/random.h"

#include "tests/support/gradcheck.h"

namespace noisette {
namespace {

using testing_support::GradCase;
using testing_support::message_of;
using testing_support::values_of;

const RngKey kKey{11, Purpose::kTest, 2};

Tensor index_of(const Tensor& like, std::vector<int64_t> v) {
  const Shape shape{int64_t(v.size())};
  return from_vector(v, shape, like.device());
}

NOISETTE_OP_TESTS(DropoutOp,
                  GradCase{"half",
                           {{3, 5, 17}},
                           [](auto in) {
                             return dropout(in[0], 0.5, kKey, index_of(in[0], {4, 0, 9}));
                           }},
                  GradCase{"tenth",
                           {{1, 301}},
                           [](auto in) { return dropout(in[0], 0.1, kKey, index_of(in[0], {1})); }},
                  GradCase{"one",
                           {{1, 1}},
                           [](auto in) { return dropout(in[0], 0.5, kKey, index_of(in[0], {3})); }},
                  GradCase{"none",
                           {{2, 3}},
                           [](auto in) {
                             return dropout(in[0], 0, kKey, index_of(in[0], {1, 2}));
                           }},
                  GradCase{"empty", {{0, 3}}, [](auto in) {
                             return dropout(in[0], 0.5, kKey, index_of(in[0], {}));
                           }});

TEST(Random, AnImageIsTheSameInEveryBatch) {
  const Tensor all =
      normal({8, 4, 4, 3}, DType::f32, kKey, from_vector<int64_t>({0, 1, 2, 3, 4, 5, 6, 7}, {8}));
  const Tensor two = normal({2, 4, 4, 3}, DType::f32, kKey, from_vector<int64_t>({5, 2}, {2}));
  EXPECT_EQ(values_of(two.rows(0, 1)), values_of(all.rows(5, 6)));
  EXPECT_EQ(values_of(two.rows(1, 2)), values_of(all.rows(2, 3)));
}

TEST(Random, LabelsAreDroppedByTheirOwnDraw) {
  std::vector<int64_t> index(1000);
  for (size_t i = 0; i < index.size(); ++i) index[i] = int64_t(i);
  const Tensor labels = zeros({1000}, DType::i64), at = from_vector(index, {1000});
  int64_t dropped = 0;
  for (const int64_t v : to_vector<int64_t>(replace_at_random(labels, 10, 0.1, kKey, at))) {
    EXPECT_TRUE(v == 0 || v == 10);
    dropped += v == 10;
  }
  EXPECT_NEAR(double(dropped), 100, 4 * std::sqrt(90.0));
  EXPECT_EQ(to_vector<int64_t>(replace_at_random(labels, 10, 0, kKey, at)),
            to_vector<int64_t>(labels));
}

TEST(Random, WorksOnMeta) {
  const Tensor index = empty({3}, DType::i64, kMeta);
  EXPECT_EQ(normal({3, 2}, DType::bf16, kKey, index).shape(), (Shape{3, 2}));
  EXPECT_EQ(uniform({3, 2}, DType::f64, kKey, index).dtype(), DType::f64);
  EXPECT_EQ(random_integers(10, kKey, index).shape(), (Shape{3}));
  EXPECT_EQ(replace_at_random(index, 1, 0.5, kKey, index).shape(), (Shape{3}));
}

TEST(Random, ErrorsNameBothSides) {
  const Tensor index = zeros({3}, DType::i64);
  EXPECT_NE(message_of([&] {
              normal({2, 4}, DType::f32, kKey, index);
            }).find("i64 [3]"),
            std::string::npos);
  EXPECT_NE(message_of([&] {
              dropout(zeros({3, 1}, DType::f32), 1, kKey, index);
            }).find("got 1"),
            std::string::npos);
  EXPECT_NE(message_of([&] { random_integers(0, kKey, index); }).find("got 0"), std::string::npos);
}

}  // namespace
}  // namespace noisette
