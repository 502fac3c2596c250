import math

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from training import losses


def unit(*rows):
    return torch.nn.functional.normalize(torch.tensor(rows, dtype=torch.float32))


def test_embedding_distance_is_zero_for_equal_and_two_for_opposite_embeddings():
    a = unit([1, 0], [0, 1])
    assert losses.embedding_distance(a, a).item() == 0
    assert losses.embedding_distance(a, -a).item() == 2


def test_similarity_distance_ignores_a_common_rotation():
    a = unit([1, 0], [1, 1])
    quarter_turn = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    assert losses.similarity_distance(a @ quarter_turn, a).item() < 1e-12
    assert losses.similarity_distance(unit([1, 0], [0, 1]), a).item() > 0.1


def test_triplet_is_zero_when_people_are_apart_and_large_when_mixed_up():
    embeddings = unit([1, 0], [1, 0], [-1, 0], [-1, 0])
    apart, mixed = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    assert losses.batch_hard_triplet(embeddings, apart).item() == 0
    assert losses.batch_hard_triplet(embeddings, mixed).item() > 2


def test_circle_is_small_when_people_are_apart_and_large_when_mixed_up():
    embeddings = unit([1, 0], [1, 0], [-1, 0], [-1, 0])
    apart, mixed = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    assert losses.circle(embeddings, apart).item() < 0.1
    assert losses.circle(embeddings, mixed).item() > 50


def test_circle_is_the_papers_equation():
    """Sun et al., equation 6, written out for one anchor at a time."""
    embeddings = unit([1, 0.2], [0.8, 1], [1, -0.5], [-0.3, 1])
    labels, gamma, m = torch.tensor([0, 0, 1, 1]), 64.0, 0.25
    expected = []
    for anchor in range(4):
        to = [float(embeddings[anchor] @ embeddings[other]) for other in range(4)]
        near = [to[o] for o in range(4) if o != anchor and labels[o] == labels[anchor]]
        far = [to[o] for o in range(4) if labels[o] != labels[anchor]]
        p = sum(math.exp(-gamma * max(0, 1 + m - s) * (s - (1 - m))) for s in near)
        n = sum(math.exp(gamma * max(0, s + m) * (s - m)) for s in far)
        expected.append(math.log1p(n * p))
    found = losses.circle(embeddings, labels)
    assert found.item() == pytest.approx(sum(expected) / 4, rel=1e-4)


def test_circle_asks_nothing_of_who_is_alone():
    alone = losses.circle(unit([1, 0], [0.9, 0.1], [0, 1]), torch.tensor([0, 1, 2]))
    assert alone.item() == 0


def test_classifier_prefers_the_right_identity():
    classifier = losses.CosineClassifier(2, 2)
    with torch.no_grad():
        classifier.weight.copy_(unit([1, 0], [0, 1]))
    embeddings = unit([1, 0], [0, 1])
    right, all_right = classifier(embeddings, torch.tensor([0, 1]))
    wrong, none_right = classifier(embeddings, torch.tensor([1, 0]))
    assert right.item() < wrong.item() - 10
    assert (all_right.item(), none_right.item()) == (1, 0)


def test_heads_stand_only_between_spaces_of_different_widths():
    assert not list(losses.teacher_heads(512, 2, 256).parameters())
    heads = losses.teacher_heads(12, 2, 8)
    found = heads(torch.nn.functional.normalize(torch.randn(5, 12)))
    assert found.shape == (5, 16)
    torch.testing.assert_close(found.view(5, 2, 8).norm(dim=2), torch.full((5, 2), 0.5**0.5))
