"""Deep recurrent Q-learning, for environments of which one observation is not the whole state.

Hausknecht & Stone 2015, arXiv:1507.06527; stored recurrent states and burn-in: Kapturowski et al. 2019 (R2D2).
"""

import torch
from torch import Tensor, nn

from rlgen.agents import settings
from rlgen.agents.actor import ActorInput, RecurrentState, softmax_policy
from rlgen.agents.dqn import DQN
from rlgen.agents.members import as_metric, over
from rlgen.agents.munchausen import CLIP
from rlgen.agents.networks import RecurrentQNetwork
from rlgen.agents.replay import Sequences
from rlgen.agents.values import gather

MAX_WEIGHT = 0.9  # of the largest priority of a sequence in its own, the rest being the weight of the mean (R2D2)


class DRQN(DQN):
    """DQN with an LSTM, trained on sequences. Shapes: T steps learned from, M numbers of the recurrent state."""

    Config = settings.DRQN
    config: settings.DRQN

    @property
    def recurrent_size(self) -> int:
        """M: output and cell of the LSTM."""
        return 2 * self.config.width

    def network(self) -> nn.Module:
        """A new recurrent Q-network of one seed."""
        env = self.env
        return RecurrentQNetwork(env.shape, env.num_actions, self.value.width, self.config, env.scale)

    def networks(self) -> dict[str, tuple[nn.Module, tuple[Tensor, ...]]]:
        """The Q-network of the first seed; an observation, the state before it, and whether it is the first."""
        inputs = torch.zeros(1, 1, *self.env.shape), torch.zeros(1, self.recurrent_size), torch.zeros(1, 1)
        return {"Q-network": (self.q.alone(), inputs)}

    @property
    def ready(self) -> bool:
        """Whether the replay holds a whole sequence."""
        return self.replay.windows(self.span) > 0

    @property
    def span(self) -> int:
        """Steps of a sequence: burn-in, those learned from, and those of the last n-step return."""
        return self.config.burn_in + self.config.length + self.config.n_step

    def learn(self) -> dict[str, Tensor | float]:
        """`gradient_steps` gradient steps, each back through the T steps of a batch; metrics of the last of them."""
        config, t, n = self.config, self.config.length, self.config.n_step
        for _ in range(config.gradient_steps):
            sequences = self.replay.sequences(config.batch, self.span, self.beta)
            if config.noisy:
                self.draw_noise()
            online, target_out, window = self.unroll(sequences)  # Q, Q'  (S, B, T + n, A, K)
            out = gather(online[:, :, :t], window.action[:, :, :t])  # Q(s, a)  (S, B, T, K)
            with torch.no_grad():
                next_out = target_out[:, :, n:]  # Q'(s', ·)  (S, B, T, A, K)
                selector = online[:, :, n:] if config.double else next_out
                policy = self.policy(selector, window.action_mask[:, :, n:])  # π(·|s')  (S, B, T, A)
                reward, discount, known = self.window_returns(window, target_out, policy)  # (S, B, T)
                target = self.value.target(reward, discount, next_out, policy)  # (S, B, T, K)
            loss = (window.weight * (known * self.value.error(out, target)).mean(2)).mean(1)  # (S,)
            norm = self.optimizer.step(loss.sum, self.time, window)["grad_norm"]
            out = out.detach()
            if config.alpha:
                priority = known * self.value.priority(out, target)
                mixed = MAX_WEIGHT * priority.amax(-1) + (1 - MAX_WEIGHT) * priority.mean(-1)
                self.replay.prioritize(window.index, self.optimizer.finite(mixed))
        q = self.value.mean(out).mean((1, 2))
        metrics = {"loss": loss.detach(), "q": q, "gradient_norm": norm}
        return {**self.optimizer.of_members(metrics), "epsilon": as_metric(self.epsilon)}

    def unroll(self, sequences: Sequences) -> tuple[Tensor, Tensor, Sequences]:
        """Outputs of both networks for the steps after the burn-in, (S, B, T + n, A, K), and these steps.

        The target network runs through the burn-in with the rest; the online network without gradients.
        """
        burn_in, state = self.config.burn_in, sequences.recurrent_state
        with torch.no_grad():
            target_out, _ = self.target(sequences.obs, state, sequences.is_first)
            if burn_in:
                _, state = self.q(sequences.obs[:, :, :burn_in], state, sequences.is_first[:, :, :burn_in])
        columns = ("obs", "action_mask", "is_first", "action", "reward", "terminated", "done")
        window = sequences._replace(**{name: getattr(sequences, name)[:, :, burn_in:] for name in columns})
        online, _ = self.q(window.obs, state, window.is_first)
        return online, target_out[:, :, burn_in:], window

    def window_returns(self, window: Sequences, target_out: Tensor, policy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`n_step_returns` with the terms of Munchausen in every reward, where chosen: (S, B, T) each."""
        config, n = self.config, self.config.n_step
        gamma = over(self.members.number("gamma"), window.reward)
        if not config.munchausen:
            return n_step_returns(window, gamma, n)
        tau, q = config.temperature, self.value.mean(target_out)
        log_policy = softmax_policy(q, window.action_mask, tau, log=True)  # (S, B, T + n, A)
        chosen = log_policy.take_along_dim(window.action.unsqueeze(-1), -1).squeeze(-1)
        rewards = window.reward + config.munchausen * (tau * chosen).clamp(CLIP, 0.0)
        entropy = tau * torch.special.entr(log_policy.exp()).sum(-1) if n > 1 else torch.zeros_like(rewards)
        reward, discount, known = n_step_returns(window._replace(reward=rewards + entropy), gamma, n)
        reward = reward - entropy[:, :, : reward.shape[2]]  # the first state of a window has none in its target
        return reward + discount * tau * torch.special.entr(policy).sum(-1), discount, known

    def outputs(self, inputs: ActorInput) -> tuple[Tensor, RecurrentState]:
        """Output of the network, (S, N, A, K), and the recurrent state after these observations, (L, M)."""
        assert inputs.recurrent_state is not None
        rows = inputs.obs, inputs.recurrent_state, inputs.is_first
        obs, state, is_first = (torch.from_numpy(self.split_seeds(x)).to(self.device) for x in rows)
        out, state = self.q(obs.unsqueeze(2), state, is_first.unsqueeze(2))  # T = 1
        return out.squeeze(2), state.flatten(0, 1).cpu().numpy()


def n_step_returns(window: Sequences, gamma: float | Tensor, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Σ_k γᵏ r_k, the discount γⁿ of the value after it or 0, and whether the target is known: (S, B, T) each.

    It is unknown where a time limit ended the episode within the n steps: the next row is of another episode, so the
    observation to bootstrap from is not in the sequence.
    """
    steps = window.reward.shape[2] - n
    reward = torch.zeros_like(window.reward[:, :, :steps])
    alive, known = torch.ones_like(reward), torch.ones_like(reward)
    for k in range(n):
        at = slice(k, k + steps)
        reward = reward + gamma**k * alive * window.reward[:, :, at]
        cut = window.done[:, :, at] & ~window.terminated[:, :, at]
        known = known * ~(cut & (alive > 0))
        alive = alive * ~window.done[:, :, at]
    return reward, gamma**n * alive, known
